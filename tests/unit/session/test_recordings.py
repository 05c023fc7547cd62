"""Who is in the recordings that a replay is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.session.recordings import people_of


def zoom_meeting(folder: Path, *names: str) -> Path:
    meeting = folder / "2026-01-05 09.00.00 Plan"
    (meeting / "Audio Record").mkdir(parents=True)
    for name in ("zoom_0.mp4", "audio_only.m4a", *(f"Audio Record/{name}" for name in names)):
        (meeting / name).touch()
    return meeting


def test_a_file_is_one_participant(tmp_path: Path) -> None:
    path = tmp_path / "ana.mp4"
    path.touch()
    people = people_of([str(path), f"{path}@+20s"])
    assert [spec.participant_id for spec in people.specs] == ["ana", "ana"]
    assert people.session is None


@pytest.mark.parametrize("inner", ["", "Audio Record"])
def test_each_file_of_a_zoom_folder_is_a_participant(tmp_path: Path, inner: str) -> None:
    meeting = zoom_meeting(
        tmp_path,
        "audioAnaBerg11234567890.m4a",
        "audioBoLi21234567890.m4a",
        "audioBoLi31234567890.m4a",
        "audioØyvindÅs41234567890.m4a",
        "notes.txt",
        "mix.m4a",
    )
    people = people_of([str(meeting / inner)])
    assert {spec.participant_id: spec.sources for spec in people.specs} == {
        name: (str(meeting / "Audio Record" / file),)
        for name, file in {
            "Ana Berg": "audioAnaBerg11234567890.m4a",
            "Bo Li": "audioBoLi21234567890.m4a",
            "Bo Li 2": "audioBoLi31234567890.m4a",
            "Øyvind Ås": "audioØyvindÅs41234567890.m4a",
        }.items()
    }
    assert {spec.begin_ns for spec in people.specs} == {0}
    assert people.session == meeting.name


def test_a_zoom_folder_may_begin_later(tmp_path: Path) -> None:
    meeting = zoom_meeting(tmp_path, "audioAna1.m4a", "audioBo2.m4a")
    specs = people_of([f"{meeting}@+20s"]).specs
    assert [spec.begin_ns for spec in specs] == [20 * 10**9] * 2


def test_another_folder_is_one_participant(tmp_path: Path) -> None:
    (tmp_path / "talk" / "Audio Record").mkdir(parents=True)
    assert [spec.participant_id for spec in people_of([str(tmp_path / "talk")]).specs] == ["talk"]
