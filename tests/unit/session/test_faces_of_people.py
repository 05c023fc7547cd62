"""Several faces in one recording: whose vision is whose."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semi_iin.faces import decode_jpeg
from streamer.capture.probe import info
from streamer.capture.sources import ParticipantSpec, Source, parse_participant
from streamer.config import load
from streamer.demo.synthetic import draw_face
from streamer.errors import ConfigError, SourceError
from streamer.notices import Notices
from streamer.records import Window
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from streamer.session.recordings import Naming, people_of
from tests import media

NAMED = """WEBVTT

00:00.000 --> 00:01.000
<v Ana Berg>Good morning

00:01.500 --> 00:02.500
<v Bo Li>Hello
"""


def two_faces(t: float) -> NDArray[np.uint8]:
    """A face with reddish skin on the left, one with bluish skin on the right."""
    face = draw_face(0.0, t, (240, 200))
    return np.concatenate([face, face[:, :, ::-1]], axis=1)


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    video = media.Video(rate=5, draw=two_faces, codec="mpeg4")
    return media.write(tmp_path / "panel.mkv", media.Audio(), video)


def windows_of(specs: Sequence[ParticipantSpec], notices: Notices) -> dict[str, list[Window]]:
    config = load(None, ["asr.engine=none"], environment={})
    plan = make_plan(specs, config, speed=0)
    return {
        spec.participant_id: list(
            Pipeline(plan, spec, config, notices=notices).windows(threading.Event())
        )
        for spec in specs
    }


def skin(windows: Sequence[Window]) -> set[str]:
    """The colours of the faces in the windows."""
    colours = set()
    for window in windows:
        for face in window.faces:
            image = decode_jpeg(face.jpeg)
            assert image is not None
            red, _, blue = image[40:60, 40:60].reshape(-1, 3).mean(axis=0)
            colours.add("red" if red > blue + 20 else "blue" if blue > red + 20 else "neither")
    return colours


@pytest.mark.slow
def test_each_person_has_the_face_at_the_chosen_place(panel: Path) -> None:
    specs = [
        parse_participant(f"{name}={panel}#face:{place}")
        for name, place in (("ana", "left"), ("bo", "2"))
    ]
    windows = windows_of(specs, Notices())
    assert {name: skin(own) for name, own in windows.items()} == {"ana": {"red"}, "bo": {"blue"}}
    assert windows["ana"][-1].presence.vision > 0.5


def test_who_has_no_face_in_a_recording_does_not_share_its_images(panel: Path) -> None:
    sources = {name: f"{panel}#left{face}" for name, face in (("ana", "#face:left"), ("bo", ""))}
    specs = [parse_participant(f"{name}={source}") for name, source in sources.items()]
    config = load(None, ["asr.engine=none"], environment={})
    plan = make_plan(specs, config, speed=0)
    ana, bo = (Pipeline(plan, spec, config).reads for spec in specs)
    assert ana is not None and bo is not None and ana != bo


@pytest.mark.slow
def test_several_faces_give_a_notice_with_what_to_type(tmp_path: Path) -> None:
    video = media.Video(seconds=14.0, rate=1, draw=two_faces, codec="mpeg4")
    path = media.write(tmp_path / "panel.mkv", video)
    notices = Notices()
    windows_of([parse_participant(f"ana={path}")], notices)
    [said] = [notice for notice in notices.newest() if "several faces" in notice]
    [typed] = re.findall(r"as in (\S+)\.$", said)
    assert parse_participant(typed).media[0] == Source("file", str(path), face="left")


@pytest.mark.slow
def test_a_face_that_is_never_in_view_with_others_is_not_chosen(tmp_path: Path) -> None:
    video = media.Video(rate=5, draw=media.face(), codec="mpeg4")
    alone = media.write(tmp_path / "alone.mkv", video)
    notices = Notices()
    windows = windows_of([parse_participant(f"ana={alone}#face:left")], notices)
    assert skin(windows["ana"]) == set()
    [said] = notices.newest()
    assert "2 faces are in the image for a second together, which never happened" in said


@pytest.mark.slow
def test_people_of_a_transcript_have_a_face_only_where_one_is_chosen(panel: Path) -> None:
    panel.with_suffix(".vtt").write_text(NAMED, "utf-8")
    specs = people_of([str(panel)], Naming(faces=(("Bo Li", "right"),))).specs
    windows = windows_of(specs, Notices())
    assert {name: skin(own) for name, own in windows.items()} == {
        "Ana Berg": set(),
        "Bo Li": {"blue"},
    }


def test_a_chosen_face_leaves_the_recording_one_participant(panel: Path) -> None:
    panel.with_suffix(".vtt").write_text(NAMED, "utf-8")
    [spec] = people_of([f"{panel}#face:left"]).specs
    assert (spec.participant_id, spec.speaker) == ("panel-left", None)
    with pytest.raises(ConfigError, match="choose it with --face NAME=left"):
        people_of([f"{panel}#face:left"], Naming(split="channels"))


def test_a_face_of_nobody_and_one_face_for_two_are_refused(panel: Path) -> None:
    panel.with_suffix(".vtt").write_text(NAMED, "utf-8")
    with pytest.raises(ConfigError, match="'Cy', who is not one of: Ana Berg, Bo Li"):
        people_of([str(panel)], Naming(faces=(("Cy", "left"),)))
    with pytest.raises(ConfigError, match="at another place"):
        people_of([str(panel)], Naming(faces=(("Ana Berg", "left"), ("Bo Li", "left"))))
    with pytest.raises(ConfigError, match="'middle' is no place of a face"):
        people_of([str(panel)], Naming(faces=(("Ana Berg", "middle"),)))


def test_sound_alone_has_no_face_to_choose(tmp_path: Path) -> None:
    sound = media.write(tmp_path / "talk.wav", media.Audio(seconds=0.5))
    with pytest.raises(SourceError, match=r"talk\.wav has no video, so there is no #face:left"):
        info(parse_participant(f"ana={sound}#face:left"))
