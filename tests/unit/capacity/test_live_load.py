"""The command of a measured session, and the latencies of its records."""

from __future__ import annotations

import json
import os
from pathlib import Path

from streamer.capacity.live_load import Arrivals, Load, command, memory_mb, processes_of


def line(index: int, revision: int = 0) -> str:
    fields = {
        "window_id": f"s/p1/{index}",
        "revision": revision,
        "event_time": f"2026-05-03T09:00:{index:02d}+00:00",
    }
    return json.dumps(fields)


START_S = 1_777_798_800.0


def test_a_window_has_its_first_and_its_last_latency() -> None:
    arrivals = Arrivals()
    arrivals.take(line(1), START_S + 1.2)
    arrivals.take(line(1, revision=1), START_S + 2.5)
    arrivals.take(json.dumps({"alert_id": "a"}), START_S + 3)
    assert arrivals.records == 2
    assert {name: round(ms) for name, ms in arrivals.first_ms.items()} == {"s/p1/1": 200}
    assert {name: round(ms) for name, ms in arrivals.last_ms.items()} == {"s/p1/1": 1500}


def test_the_stages_of_a_first_record_sum_up_to_its_latency() -> None:
    spent = {"capture": 40.0, "queue": 12.5, "inference": 60.0, "smoothing": 30.0, "total": 142.5}
    arrivals = Arrivals()
    arrivals.take(json.dumps(json.loads(line(1)) | {"latency_ms": spent}), START_S + 1.2)
    arrivals.take(json.dumps(json.loads(line(1, 1)) | {"latency_ms": {}}), START_S + 9.0)
    (stages,) = arrivals.stages_ms.values()
    assert list(stages) == ["capture", "queue", "inference", "smoothing", "delivery"]
    assert round(stages["delivery"], 1) == 57.5
    assert sum(stages.values()) == arrivals.first_ms["s/p1/1"]


def test_a_word_has_the_latency_of_the_first_record_that_carries_it() -> None:
    word = {"text": "hello", "start_ms": 300, "end_ms": 700}
    fields = {"participant_id": "p1", "end_ms": 1_000, "spoken": {"words": [word]}}
    arrivals = Arrivals()
    arrivals.take(line(1), START_S + 1.2)
    for revision, now_s in ((1, 2.5), (2, 4.0)):
        again = json.loads(line(1, revision)) | fields
        arrivals.take(json.dumps(again), START_S + now_s)
    assert {name: round(ms) for name, ms in arrivals.words_ms.items()} == {
        ("p1", 300, "hello"): 1_800
    }


def test_a_word_of_the_warm_up_is_not_new_in_a_revision() -> None:
    word = {"text": "hello", "start_ms": 300, "end_ms": 700}
    fields = {"participant_id": "p1", "end_ms": 1_000, "spoken": {"words": [word]}}
    arrivals = Arrivals()
    arrivals.take(json.dumps(json.loads(line(1)) | fields), START_S + 1.2)
    arrivals.restart()
    arrivals.take(json.dumps(json.loads(line(1, revision=1)) | fields), START_S + 4.0)
    assert arrivals.words_ms == {}


def test_the_warm_up_does_not_count() -> None:
    arrivals = Arrivals()
    arrivals.take(line(1), START_S + 1.2)
    arrivals.restart()
    assert arrivals.first_ms == arrivals.last_ms == {}
    assert arrivals.stages_ms == {}
    assert arrivals.records == 0


def test_each_stream_is_a_participant_and_the_options_stay() -> None:
    load = Load([Path("a.mp4"), Path("b.mp4")], 3, arguments=("--broker", "kafka:9092"))
    words = command(load, [f"http://127.0.0.1:9/{number}.mkv" for number in range(3)])
    people = [words[at + 1] for at, word in enumerate(words) if word == "--participant"]
    assert people == [f"p{number + 1}=http://127.0.0.1:9/{number}.mkv" for number in range(3)]
    assert words[words.index("--broker") + 1] == "kafka:9092"


def test_this_process_has_memory_and_no_stages_but_its_own() -> None:
    if Path("/proc/self").exists():
        assert (memory_mb(os.getpid()) or 0) > 1
        assert processes_of(os.getpid())["capture"] == os.getpid()
    assert memory_mb(2**22 + 1) is None
    assert processes_of(2**22 + 1) == {}
