"""A replay whose stages are too slow for its speed gives one notice."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

from streamer.capture.pace import Pace
from streamer.capture.sources import participant_of
from streamer.config import build
from streamer.notices import Notices
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from tests import media
from tests.media import Audio


def notices_of(path: Path, pace: Pace) -> list[str]:
    """The notices of a replay of the recording at `pace`."""
    config = build({"session": {"modalities": ["audio"]}, "asr": {"engine": "none"}})
    plan = make_plan([participant_of(str(path))], config, session_id="standup", speed=1)
    notices = Notices()
    pipeline = Pipeline(plan, plan.participants[0], config, pace, notices)
    assert len(list(pipeline.windows(threading.Event()))) == 3
    return list(notices.newest())


def test_a_replay_that_is_too_slow_gives_one_notice(tmp_path: Path) -> None:
    path = media.write(tmp_path / "ana.wav", Audio())
    seconds = itertools.count(0, 15)
    [notice] = notices_of(path, Pace(1, lambda: float(next(seconds))))
    assert notice.startswith("The replay runs at 0.0 of real time, slower than asked for")
    assert notices_of(path, Pace(0)) == []
