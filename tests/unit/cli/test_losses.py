"""The line of losses at the end of a run."""

from collections import Counter

import pytest

from streamer.cli.play import report_losses
from streamer.local.run import Outcome


def test_a_recording_without_video_has_a_notice_and_no_loss(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report_losses(Outcome(counters=Counter(windows=5, notices=1)))
    assert capsys.readouterr().err == ""


def test_lost_data_are_counted_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    counters = Counter(windows=5, notices=1, dropped_windows=2)
    report_losses(Outcome(dead_letters=1, counters=counters))
    assert capsys.readouterr().err == "Losses: dropped windows 2, dead letters 1.\n"
