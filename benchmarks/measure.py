"""Timing of variants side by side, as ratios in one run.

Each round runs every variant once, in turn, so that other load on the machine affects all of them
alike. Reported are the median over the rounds, and its ratio to the first variant's.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Result:
    """One variant: median seconds over the rounds, for `units` of work."""

    name: str
    units: float
    seconds: float
    ratio: float

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.seconds


def compare(
    variants: Mapping[str, tuple[float, Callable[[], object]]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Result]:
    """Time `{name: (units, work)}`; `ratio` is the rate divided by the first variant's.

    `clock` gives seconds: `time.process_time` counts this process's CPU. Every variant runs once
    before the first round, untimed.
    """
    for _, work in variants.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, (_, work) in variants.items():
            start = clock()
            work()
            seconds[name].append(clock() - start)
    results: list[Result] = []
    for name, (units, _) in variants.items():
        median = statistics.median(seconds[name])
        rate = units / median
        results.append(Result(name, units, median, rate / results[0].rate if results else 1.0))
    return results


def show(title: str, unit: str, results: list[Result], as_json: bool) -> None:
    """Print one table, or one JSON line."""
    if as_json:
        rows = [{**asdict(result), "rate": result.rate} for result in results]
        print(json.dumps({"title": title, "unit": unit, "results": rows}))
        return
    print(f"\n{title}")
    for result in results:
        print(f"  {result.name:<38} {result.rate:>12,.1f} {unit}/s   x{result.ratio:.2f}")
