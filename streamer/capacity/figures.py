"""The figures of a measured load: as lines, and as one sentence of advice. Pure.

It does not know how they were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

Talk = Literal["turns", "all"]
"""Who has sound: one participant after the other, or everybody all the time."""

UTILISATION = 0.7
"""The share of the cores that is planned with: the rest keeps queues short. A choice."""
ENOUGH = 0.9
"""The share of windows that must come for a machine that keeps up."""
LATEST = 0.05
"""The share of the records that a missed 95th percentile is explained by."""
LESS = (
    "use fewer participants, run inference and processing on another machine (--no-stages), or "
    "analyse words only (--config configs/text-only.toml)"
)


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        windows: windows whose first record came.
        expected: windows that ended in that time.
        windows_per_s: the rate of those that came.
        first_ms: percentiles of the time from a window's end to its first record.
        last_ms: the same for its last revision.
        cpu_per_participant: CPU seconds per second and participant, by process and in `all`.
        memory_mb: the most resident memory of each process.
        losses: what capture counted as lost, as printed at its end.
        word_ms: percentiles of the time from a word's end to the first record that carries it.
        records_per_window: 1, and more with revisions.
        stages_ms: of the first records, by stage: percentiles, and `latest`, the mean of the
            latest 5 %, whose stages sum up to the mean of their latencies; see `by_stage`.
        source_cpu: CPU seconds per second and participant of what sends the streams and reads the
            records, which is not in `cpu_per_participant`.
    """

    participants: int
    talk: Talk
    windows: int
    expected: int
    windows_per_s: float
    first_ms: Mapping[str, float]
    last_ms: Mapping[str, float]
    cpu_per_participant: Mapping[str, float]
    memory_mb: Mapping[str, int]
    losses: Sequence[str]
    word_ms: Mapping[str, float] = field(default_factory=dict)
    records_per_window: float = 1.0
    source_cpu: float = 0.0
    stages_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def keeps_up(self) -> bool:
        """Whether the windows came and nothing was dropped; late words alone do not count."""
        dropped = any("dropped" in line for line in self.losses)
        return not dropped and self.windows >= ENOUGH * self.expected

    @property
    def costliest(self) -> str:
        """The stage that takes the most CPU; empty where CPU was not measured."""
        stages = {name: cost for name, cost in self.cpu_per_participant.items() if name != "all"}
        return max(stages, key=stages.__getitem__, default="")

    def taken_by(self, cores: int) -> int | None:
        """Return how many such participants `cores` take; None where CPU was not measured."""
        cost = self.cpu_per_participant.get("all")
        return int(round(cores * UTILISATION / cost, 6)) if cost else None


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile, rounded; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {f"p{at}": round(ordered[min(last, len(ordered) * at // 100)]) for at in (50, 95, 99)}


def stages_of(latency_ms: Mapping[str, float], late_ms: float) -> dict[str, float]:
    """Return where the time from a window's end to its record went, in milliseconds.

    Args:
        latency_ms: of the record: `capture` until the window is sent, `queue` until inference takes
            it, `inference`, `smoothing` from the score's writing on. The broker's waits are in
            `queue` and `smoothing`.
        late_ms: the whole time, until the record is read.

    Returns:
        The stages and `delivery`, which is the rest: the way from smoothing to the reader, and
        what passes between two stages. Their sum is `late_ms`.
    """
    stages = {name: spent for name, spent in latency_ms.items() if name != "total"}
    return {**stages, "delivery": late_ms - sum(stages.values())}


def by_stage(records: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return percentiles of each stage's milliseconds, and their mean in the latest records.

    Args:
        records: for each record its stages, as `stages_of` returns them.

    Returns:
        By stage `p50`, `p95`, `p99`, and `latest`, the mean over the latest LATEST of the records.
    """
    ordered = sorted(records, key=lambda stages: sum(stages.values()), reverse=True)
    latest = ordered[: max(1, round(len(ordered) * LATEST))]
    return {
        name: {
            **percentiles(_spent(records, name)),
            "latest": round(fmean(_spent(latest, name)), 1),
        }
        for name in dict.fromkeys(name for stages in records for name in stages)
    }


def _spent(records: Sequence[Mapping[str, float]], stage: str) -> list[float]:
    return [stages.get(stage, 0.0) for stages in records]


def lines(figures: Figures) -> list[str]:
    """Return the figures, one line each."""
    shown = [
        f"windows a second          {figures.windows_per_s:g} "
        f"({figures.windows} of {figures.expected} came)",
        f"window end to subscriber  {_latency(figures.first_ms)}",
        *(f"  {stage:<23} {_stage(spent)}" for stage, spent in figures.stages_ms.items()),
        f"  its last revision       {_latency(figures.last_ms)}",
        *([f"word end to subscriber    {_latency(figures.word_ms)}"] if figures.word_ms else []),
        f"CPU per participant       {_shares(figures.cpu_per_participant)}",
        f"  its stream, besides     {figures.source_cpu:.3f} cores",
        f"largest memory            {_megabytes(figures.memory_mb)}",
    ]
    return [*shown, *figures.losses]


def advice(figures: Figures, cores: int, limit_ms: float) -> str:
    """Return one sentence: whether the machine keeps up, and what to do.

    Args:
        figures: of a run.
        cores: of the machine.
        limit_ms: the 95th percentile of the first records above which they are late.
    """
    count = figures.participants
    people = f"{count} participant{'' if count == 1 else 's'}"
    late_ms = figures.first_ms.get("p95", float("inf"))
    taken = figures.taken_by(cores)
    if not figures.keeps_up:
        return f"This machine falls behind with {people}: {LESS}."
    if late_ms > limit_ms:
        return f"Records of {people} come late, {late_ms:.0f} ms after their windows: {LESS}."
    if taken is None:
        return f"This machine takes {people}; raise --participants until it falls behind."
    used = f"{UTILISATION:.0%} of its {cores} core{'' if cores == 1 else 's'}"
    if taken < count:
        return (
            f"This machine takes {people} without reserve, with more than {used} used, most of "
            f"it by {figures.costliest}."
        )
    return (
        f"This machine takes about {taken} participants who talk like this with {used} used, "
        f"most of it by {figures.costliest}."
    )


def _latency(percentile_ms: Mapping[str, float]) -> str:
    if not percentile_ms:
        return "no record came"
    return f"p50 {percentile_ms['p50']:g} ms, p95 {percentile_ms['p95']:g} ms"


def _stage(spent_ms: Mapping[str, float]) -> str:
    return f"{_latency(spent_ms)}, {spent_ms['latest']:.0f} ms in the latest {LATEST:.0%}"


def _shares(cores: Mapping[str, float]) -> str:
    named = [f"{stage} {cost:.3f}" for stage, cost in cores.items()]
    return f"{', '.join(named)} cores" if named else "measured on Linux only"


def _megabytes(memory: Mapping[str, int]) -> str:
    named = [f"{stage} {megabytes:,} MB" for stage, megabytes in memory.items()]
    return ", ".join(named) or "measured on Linux only"
