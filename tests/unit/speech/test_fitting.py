"""Whether a transcript's times are those of its recording."""

from __future__ import annotations

import pytest

from streamer.records import NS_PER_S
from streamer.speech.fitting import misfit
from streamer.speech.transcripts import Subtitles, Utterance

LENGTH_NS = 30 * NS_PER_S


def transcript(*starts_s: float) -> Subtitles:
    cues = [Utterance(None, round(s * NS_PER_S), round((s + 2) * NS_PER_S)) for s in starts_s]
    return Subtitles((), utterances=tuple(cues))


@pytest.mark.parametrize(
    ("starts_s", "offset_s"),
    [((0, 10, 28.5), 0), ((3600, 3610), -3600), ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 40), 0), ((), 0)],
    ids=["inside", "shifted into it", "few after it", "no cue"],
)
def test_a_transcript_that_fits_has_no_notice(starts_s: tuple[float, ...], offset_s: int) -> None:
    assert misfit(transcript(*starts_s), "a.vtt", offset_s * NS_PER_S, LENGTH_NS) is None


def test_cues_after_the_recording_give_both_times_and_a_shift_to_its_start() -> None:
    assert misfit(transcript(72.5, 90), "a.vtt", 0, LENGTH_NS) == (
        "No cue of a.vtt is used, as all are after the recording: the first one begins at 1:12 and "
        "the recording ends at 0:30; --transcript-offset -72.5 puts them into it."
    )


def test_the_shift_is_of_whole_hours_if_that_is_enough() -> None:
    notice = misfit(transcript(3605, 3620), "a.vtt", 0, LENGTH_NS)
    assert notice is not None
    assert "begins at 1:00:05" in notice
    assert "--transcript-offset -3600 puts" in notice


def test_a_shift_that_is_too_large_is_replaced_and_not_added_to() -> None:
    assert misfit(transcript(2, 10), "a.vtt", -60 * NS_PER_S, LENGTH_NS) == (
        "No cue of a.vtt is used, as all are before the recording: the last one ends at -0:48 and "
        "the recording begins at 0:00; --transcript-offset 0 puts them into it."
    )


def test_a_transcript_that_goes_on_after_the_recording_has_a_shift_to_its_end() -> None:
    assert misfit(transcript(5, 20, 35, 48), "a.vtt", NS_PER_S, LENGTH_NS) == (
        "2 of 4 cues of a.vtt are not used, as they are after the recording: the last one ends at "
        "0:51 and the recording at 0:30; if its times are shifted, --transcript-offset -20 makes "
        "both end together."
    )
