"""The highest revisions of windows at one microphone say what was known of it last."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.config import WindowsConfig
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Score, Window, Word
from streamer.session.relabelled import PeopleWindows
from streamer.spans import SpeakerTurn
from streamer.windows import Windower
from tests.smoothing_runs import score, smooth

SETTINGS = WindowsConfig(length_s=2.0, hop_s=1.0, allowed_lateness_s=60.0)
SECONDS = 6
who = st.lists(st.sampled_from("ab."), min_size=SECONDS, max_size=SECONDS)


def make(name: str) -> Windower:
    return Windower("s", name, 0, {"audio", "text"}, SETTINGS, 5)


def turns(speakers: list[str], first: int, end: int) -> list[SpeakerTurn]:
    """A turn for each second; `.` is nobody."""
    return [
        SpeakerTurn(speakers[k], k * NS_PER_S, (k + 1) * NS_PER_S)
        for k in range(first, end)
        if speakers[k] != "."
    ]


def highest(windows: list[Window]) -> dict[tuple[str, int], Window]:
    """Each window in its highest revision, and never a lower one behind a higher one."""
    newest: dict[tuple[str, int], Window] = {}
    for window in windows:
        key = window.participant_id, window.window_index
        assert key not in newest or newest[key].revision == window.revision - 1
        newest[key] = window
    return newest


def scored(window: Window) -> Score:
    """A score that depends on what a window holds."""
    assert window.audio is not None
    level = sum(np.frombuffer(window.audio, "<i2")[SAMPLE_RATE_HZ // 2 :: SAMPLE_RATE_HZ] // 512)
    made = score(window.window_index, float(level % 5) - 2 if window.presence.any else None)
    return msgspec.structs.replace(
        made,
        revision=window.revision,
        skipped=window.skipped,
        identified_by="diarization",
        text=window.text,
        spoken=window.spoken,
    )


@given(first=who, last=who, passes=st.lists(st.booleans(), min_size=SECONDS, max_size=SECONDS),
       lags=st.lists(st.integers(0, 2), min_size=SECONDS, max_size=SECONDS))  # fmt: skip
@settings(max_examples=20)
def test_the_highest_revisions_are_those_of_what_was_judged_last(
    first: list[str], last: list[str], passes: list[bool], lags: list[int]
) -> None:
    people = PeopleWindows(make, SETTINGS, revises=True)
    out: list[Window] = []
    heard = 0
    for k in range(SECONDS):
        people.push(AudioChunk(k * NS_PER_S, np.full(SAMPLE_RATE_HZ, (k + 1) / 64, np.float32)))
        people.decide(turns(first, k, k + 1), (k + 1) * NS_PER_S)
        upto = max(heard, k + 1 - lags[k])
        words = [
            Word(str(n), n * NS_PER_S + 1, n * NS_PER_S + NS_PER_S // 2)
            for n in range(heard, upto)
            if first[n] != "." and last[n] != "."
        ]
        people.hear(words, (), upto * NS_PER_S)
        heard = upto
        if passes[k]:
            people.judge(turns(last, 0, k + 1))
        out += people.windows()
    words = [
        Word(str(n), n * NS_PER_S + 1, n * NS_PER_S + NS_PER_S // 2)
        for n in range(heard, SECONDS)
        if first[n] != "." and last[n] != "."
    ]
    people.hear(words, (), SECONDS * NS_PER_S)
    people.judge(turns(last, 0, SECONDS))
    out += people.windows(final=True)

    newest = highest(out)
    said: list[tuple[str, str]] = []
    for (speaker, index), window in newest.items():
        assert window.audio is not None and window.spoken is not None
        middles = np.frombuffer(window.audio, "<i2")[SAMPLE_RATE_HZ // 2 :: SAMPLE_RATE_HZ]
        start = window.start_ns // NS_PER_S
        expected = [k + 1 if last[k] == speaker else 0 for k in range(start, index + 1)]
        assert [round(float(value) / 512) for value in middles] == expected
        texts = [str(k) for k in range(start, index + 1)
                 if last[k] == speaker and first[k] != "."]  # fmt: skip
        assert window.text.split() == texts
        said += [(speaker, word.text) for word in window.spoken.words]
    for speaker in people.begins_ns:
        own = [scored(window) for window in out if window.participant_id == speaker]
        last_of = [scored(w) for (name, _), w in sorted(newest.items()) if name == speaker]
        smoothed = {record.window_index: record for record in smooth(own)}
        assert [smoothed[index] for index in sorted(smoothed)] == smooth(last_of)
    assert sorted(said, key=lambda each: int(each[1])) == [
        (last[k], str(k)) for k in range(SECONDS) if first[k] != "." and last[k] != "."
    ]
