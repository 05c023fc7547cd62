"""Numbers by name: as a mapping has them, the latest names where there is a limit."""

from __future__ import annotations

import random
import tracemalloc

from streamer.remembered import NEW, Remembered


def test_it_has_what_a_mapping_has() -> None:
    chance, mapping, remembered = random.Random(0), dict[str, int](), Remembered()
    for _ in range(3 * NEW):
        name, number = f"s/ana/{chance.randrange(2 * NEW)}", chance.randrange(-(2**63), 2**63)
        mapping[name] = number
        remembered.put(name, number)
    assert {name: remembered.get(name) for name in mapping} == mapping
    assert len(remembered) == len(mapping)
    assert remembered.get("s/bo/0") is None


def test_with_a_limit_the_names_that_were_set_first_are_discarded() -> None:
    remembered = Remembered(limit=100)
    for k in range(3 * NEW):
        remembered.put(f"s/ana/{k}", k)
        remembered.put("s/bo/0", k)
        assert k % 500 or len(remembered) <= 100 + NEW
    assert remembered.get("s/ana/0") is None
    assert all(remembered.get(f"s/ana/{3 * NEW - k}") == 3 * NEW - k for k in range(1, 100))
    assert remembered.get("s/bo/0") == 3 * NEW - 1, "it was set again and again"


def test_a_name_takes_few_bytes() -> None:
    tracemalloc.start()
    try:
        remembered = Remembered()
        before, _ = tracemalloc.get_traced_memory()
        for k in range(16 * NEW):
            remembered.put(("smoothed", f"soak/ana/{k}/0"), k)
        after, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / (16 * NEW) < 20
    assert (most - before) / (16 * NEW) < 40, "also while new names join the others"
