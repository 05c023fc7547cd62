"""When each participant's recording begins in the session: stated, known, guessed, or 0."""

from __future__ import annotations

import math
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import capture
from streamer.capture.probe import SourceInfo, StartOrigin
from streamer.capture.sources import ParticipantSpec, parse_participant, participant_of
from streamer.config import Config, build
from streamer.errors import ConfigError
from streamer.records import NS_PER_S, Window
from streamer.session.beginnings import MOST_APART_NS, beginnings
from streamer.session.participant import Pipeline
from streamer.session.plan import Plan, make_plan
from tests import media
from tests.media import Audio

NINE_NS = 1_777_798_800 * NS_PER_S
CONFIG = build(
    {
        "session": {"modalities": ["audio", "vision"]},
        "asr": {"engine": "none"},
        "windows": {"audio_codec": "pcm16"},
    }
)


def source(
    start_s: float | None, length_s: float | None = 60.0, origin: StartOrigin | None = "creation"
) -> SourceInfo:
    start_ns = None if start_s is None else NINE_NS + round(start_s * NS_PER_S)
    return SourceInfo(False, length_s, True, True, start_unix_ns=start_ns, start_origin=origin)


def decided(*sources: SourceInfo, stated: tuple[float | None, ...] = ()) -> Any:
    names = [f"p{number}" for number in range(len(sources))]
    begins = [None if s is None else round(s * NS_PER_S) for s in stated]
    begins += [None] * (len(sources) - len(begins))
    stating = zip(names, begins, strict=True)
    specs = [ParticipantSpec(name, ("x",), begin_ns) for name, begin_ns in stating]
    result = beginnings(specs, dict(zip(names, sources, strict=True)))
    return [result.at_ns[name] / NS_PER_S for name in names], result.notice


def test_recordings_that_were_made_together_begin_by_their_creation_times() -> None:
    at_s, notice = decided(source(20), source(0), source(65, 10))
    assert at_s == [20, 0, 65]
    assert "p0 +20 s, p1 +0 s, p2 +65 s" in notice and "@+20s" in notice


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (source(None, origin=None), "has no creation time"),
        (source(20, origin="file"), "has no creation time"),
        (source(20, None), "length of the recording of p1 is not known"),
        (source(20, origin="android"), "different kinds"),
        (source(60), "not made at the same time"),
        (source(MOST_APART_NS / NS_PER_S + 1), "more than 12 hours apart"),
    ],
)
def test_times_that_do_not_tell_are_not_used_and_the_reason_is_said(
    other: SourceInfo, reason: str
) -> None:
    at_s, notice = decided(source(0), other)
    assert at_s == [0, 0]
    assert reason in notice and "@+20s" in notice


def test_what_is_stated_holds_and_the_others_begin_at_0() -> None:
    assert decided(source(0), source(7), stated=(None, 2.5)) == ([0, 2.5], "")


def test_one_recording_and_live_sources_need_no_guess() -> None:
    live = SourceInfo(True, None, True, True)
    assert decided(source(5)) == ([0], "")
    assert decided(live, live) == ([0, 0], "")


@given(st.lists(st.tuples(st.integers(0, 50_000), st.integers(1, 5_000)), min_size=2, max_size=5))
def test_somebody_begins_at_0_and_distances_are_those_of_the_clocks_or_none(
    spans: list[tuple[int, int]],
) -> None:
    at_s, notice = decided(*(source(start_s, length_s) for start_s, length_s in spans))
    assert min(at_s) == 0 and notice
    if any(at_s):
        starts = [start_s for start_s, _ in spans]
        assert at_s == [start_s - min(starts) for start_s in starts]
        assert max(at_s) * NS_PER_S <= MOST_APART_NS


# --- from files


def created(path: Path, when: str, **more: str) -> Path:
    return media.write(
        path,
        Audio(codec="aac", wave=media.beeps([0.5])),
        metadata={"creation_time": when, **more},
        options={"movflags": "use_metadata_tags"},
    )


def plan_of(*specs: ParticipantSpec, start: datetime | None = None) -> Plan:
    return make_plan(specs, CONFIG, session_id="standup", speed=0.0, start=start)


def test_a_file_that_began_two_seconds_later_lies_two_seconds_later(tmp_path: Path) -> None:
    ana = created(tmp_path / "ana.mp4", "2026-05-03T09:00:00Z")
    bo = created(tmp_path / "bo.mp4", "2026-05-03T09:00:02Z")
    plan = plan_of(participant_of(str(ana)), participant_of(str(bo)))
    assert plan.begins_ns == {"ana": 0, "bo": 2 * NS_PER_S}
    assert plan.start_unix_ns == NINE_NS
    assert "bo +2 s" in plan.notice
    whole = {name: windows_of(plan, name) for name in ("ana", "bo")}
    assert [window.end_ns for window in whole["bo"]][:2] == [NS_PER_S, 2 * NS_PER_S]
    assert [window.audio is None for window in whole["bo"]] == [True, True, False, False, False]
    assert [window.audio is None for window in whole["ana"]] == [False] * 3
    assert [window.final for window in whole["bo"]] == [False] * 4 + [True]
    samples = [sound(window) for window in (whole["ana"][0], whole["bo"][2])]
    assert samples[0] == samples[1][2 * len(samples[0]) :], "the same sound, two seconds later"


def windows_of(plan: Plan, name: str, config: Config = CONFIG) -> list[Window]:
    spec = next(spec for spec in plan.participants if spec.participant_id == name)
    return list(Pipeline(plan, spec, config).windows(threading.Event()))


def sound(window: Window) -> bytes:
    assert window.audio is not None
    return window.audio


@pytest.mark.parametrize("modalities", [["text"], ["audio", "text"]])
def test_words_lie_where_their_recording_lies(tmp_path: Path, modalities: list[str]) -> None:
    path = media.write(tmp_path / "ana.wav", Audio())
    (tmp_path / "ana.vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.000\nhello\n")
    plan = plan_of(participant_of(f"{path}@+2.5s"))
    config = build({"session": {"modalities": modalities}})
    windows = windows_of(plan, "ana", config)
    assert [window.text for window in windows] == ["", "", "", *["hello"] * 3]
    [word] = windows[-1].words
    assert (word.start_ns, word.end_ns) == (3 * NS_PER_S, 3 * NS_PER_S + NS_PER_S // 2)
    assert windows[-1].end_ns == 5 * NS_PER_S + NS_PER_S // 2


@pytest.mark.parametrize(("name", "start"), [("com.android.version", 57), ("handler", 60)])
def test_the_time_of_an_android_phone_is_the_end_of_its_recording(
    tmp_path: Path, name: str, start: int
) -> None:
    path = created(tmp_path / "a.mp4", "2026-05-03T09:01:00Z", **{name: "14"})
    info = capture.info(participant_of(str(path)))
    assert info.start_unix_ns is not None
    assert math.isclose(info.start_unix_ns, NINE_NS + start * NS_PER_S, abs_tol=0.1 * NS_PER_S)


def test_an_iphone_has_its_own_date(tmp_path: Path) -> None:
    date = {"com.apple.quicktime.creationdate": "2026-05-03T11:00:05+0200"}
    path = created(tmp_path / "a.mp4", "2026-05-03T09:30:00Z", **date)
    info = capture.info(participant_of(str(path)))
    assert (info.start_unix_ns, info.start_origin) == (NINE_NS + 5 * NS_PER_S, "apple")


def test_a_copied_file_is_no_clock(tmp_path: Path) -> None:
    paths = [media.write(tmp_path / f"{name}.wav", Audio()) for name in ("ana", "bo")]
    for number, path in enumerate(paths):
        os.utime(path, ns=(0, NINE_NS + number * NS_PER_S))
    plan = plan_of(*(participant_of(str(path)) for path in paths))
    assert plan.begins_ns == {"ana": 0, "bo": 0}
    assert "no creation time" in plan.notice
    assert plan.start_unix_ns == NINE_NS - 3 * NS_PER_S, "the first one ended at 9:00"


def test_a_stated_start_is_the_wall_clock_of_session_time_0(tmp_path: Path) -> None:
    path = media.write(tmp_path / "ana.wav", Audio())
    start = datetime(2026, 5, 3, 9, tzinfo=UTC)
    assert plan_of(participant_of(str(path)), start=start).start_unix_ns == NINE_NS
    with pytest.raises(ConfigError, match="recordings only"):
        make_plan(
            [ParticipantSpec("me", ("lavfi:sine",))],
            build({"session": {"consent": "yes"}}),
            session_id=None,
            speed=1,
            start=start,
        )


# --- as stated


@pytest.mark.parametrize(
    ("suffix", "seconds"), [("@+20s", 20), ("@+1.5s", 1.5), ("@+250ms", 0.25), ("@+2m", 120)]
)
def test_a_beginning_is_stated_behind_a_file(tmp_path: Path, suffix: str, seconds: float) -> None:
    comma, plain = tmp_path / "ana, bo.mp4", tmp_path / "cy.mp4"
    for path in (comma, plain):
        path.touch()
    begin_ns = round(seconds * NS_PER_S)
    spec = participant_of(f"{comma}{suffix}")
    assert spec == ParticipantSpec("ana, bo", (str(comma),), begin_ns)
    spec = parse_participant(f"cy={plain}#a:1{suffix}")
    assert spec == ParticipantSpec("cy", (f"{plain}#a:1",), begin_ns)


def test_a_file_of_that_name_is_a_file(tmp_path: Path) -> None:
    for name in ("x.mp4", "x.mp4@+20s", "x@+20s.mp4"):
        (tmp_path / name).touch()
    for name in ("x.mp4@+20s", "x@+20s.mp4"):
        assert participant_of(str(tmp_path / name)).begin_ns is None
        assert participant_of(str(tmp_path / name)).sources == (str(tmp_path / name),)
    assert participant_of(str(tmp_path / "gone.mp4@+20s")).begin_ns is None
    assert participant_of("rtsp://me@+20s/live").begin_ns is None


def test_the_sources_of_a_participant_begin_together(tmp_path: Path) -> None:
    camera, voice = tmp_path / "a.mp4", tmp_path / "a.wav"
    for path in (camera, voice):
        path.touch()
    spec = parse_participant(f"ana={camera}@+2s,{voice}")
    assert (spec.sources, spec.begin_ns) == ((str(camera), str(voice)), 2 * NS_PER_S)
    with pytest.raises(ConfigError, match="several beginnings"):
        parse_participant(f"ana={camera}@+2s,{voice}@+3s")
    with pytest.raises(ConfigError, match="24 hours"):
        parse_participant(f"ana={camera}@+25h")
