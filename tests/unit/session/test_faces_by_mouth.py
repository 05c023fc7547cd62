"""A made recording of two people side by side: each one's face is found by its mouth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.config import load
from streamer.demo.synthetic import draw_face
from streamer.session.faces_by_mouth import Watch, watching
from streamer.session.recordings import Naming, People, people_of
from tests import media

TURNS, TURN_S, PAUSE_S = 10, 2.0, 0.4
STEP_S = TURN_S + PAUSE_S


def one_talks(t: float) -> NDArray[np.uint8]:
    """The left and the right one speak in turn; so does only one of the mouths move."""
    number, into_s = divmod(t, STEP_S)
    talks = [into_s < TURN_S and number % 2 == n for n in (0, 1)]
    faces = [draw_face(0.2, t, (160, 120), talking=one) for one in talks]
    return np.concatenate(faces, axis=1)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video = media.Video(seconds=TURNS * STEP_S, rate=5, draw=one_talks, codec="mpeg4")
    return media.write(tmp_path_factory.mktemp("panel") / "panel.mkv", video)


def people_who_speak(panel: Path, order: str, naming: Naming | None = None) -> People:
    """The people of the recording if they speak in this order, A for Ana and B for Bo."""
    cues = [
        f"{clock(n * STEP_S)} --> {clock(n * STEP_S + TURN_S)}\n<v {names}>Words"
        for n, names in enumerate({"A": "Ana", "B": "Bo"}[who] for who in order)
    ]
    panel.with_suffix(".vtt").write_text("\n\n".join(["WEBVTT", *cues]), "utf-8")
    return people_of([str(panel)], naming or Naming(), watch=watch("faces.by_mouth=true"))


def watch(*settings: str) -> Watch | None:
    return watching(load(None, settings, environment={}), lambda seconds: None)


def clock(seconds: float) -> str:
    return f"00:{seconds:06.3f}"


@pytest.mark.slow
def test_people_have_the_faces_whose_mouths_move_when_they_speak(panel: Path) -> None:
    people = people_who_speak(panel, "AB" * (TURNS // 2))
    ana, bo = (spec.media[0].face or "" for spec in people.specs)
    assert (ana.split("x")[0], bo.split("x")[0]) == ("25", "75")
    assert people.notices[-1].endswith("these have a face after all: Ana, Bo.")


@pytest.mark.slow
def test_nobody_has_a_face_whose_mouth_moves_with_several_voices(panel: Path) -> None:
    people = people_who_speak(panel, "AABB" * (TURNS // 4) + "AB")
    assert [spec.media[0].face for spec in people.specs] == [None, None]
    assert "nobody has one" in people.notices[-1]


def test_where_a_face_is_chosen_none_is_told_by_its_mouth(panel: Path) -> None:
    people = people_who_speak(panel, "AB" * (TURNS // 2), Naming(faces=(("Bo", "left"),)))
    assert [spec.media[0].face for spec in people.specs] == [None, "left"]
    assert "mouth" not in people.notices[-1]


def test_mouths_are_watched_only_where_the_setting_says_so() -> None:
    assert watch() is None
    assert watch("faces.by_mouth=true") is not None
