"""The bench of an experiment: data, settings, training and measuring that its runs share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from semi_iin.errors import SemiIINError
from semi_iin.examples import measured_examples
from semi_iin.experiments.evaluation import report_examples
from semi_iin.experiments.reporting import Row
from semi_iin.loop import Report, fit
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.run import Prepared, prepare
from semi_iin.settings import Objective, RunConfig, Training
from semi_iin.task import Compose, Example, SentimentTask, build_model

METRICS = ("mae", "corr", "acc2_nonneg", "acc2_nonzero", "f1_nonneg", "f1_nonzero", "acc7")
Measured = dict[str, dict[str, float]]  # part to metric to value


@dataclass(frozen=True)
class Bench:
    """The data and settings that every run of an experiment shares.

    Attributes:
        config: of the model.
        examples: labelled ones that train.
        selection: labelled ones that select.
        reported: labelled ones that are measured, and neither of the above.
        training: of every fit.
        directory: of the runs; a finished run is not done again.
        objective: the loss.
        compose: as for `SentimentTask`.
        device: where the models train.
    """

    config: SemiIINConfig
    examples: Sequence[Example]
    selection: Sequence[Example]
    reported: Sequence[Example]
    training: Training
    directory: Path
    objective: Objective
    compose: Compose | None = None
    device: torch.device | str = "cpu"

    @classmethod
    def prepare(
        cls,
        config: RunConfig,
        run: Path,
        experiment: str,
        data_root: str | Path | None = None,
        report: Report = lambda progress: None,
    ) -> tuple["Bench", Prepared]:
        """Prepare the run of a configuration, up to the training of Semi-IIN.

        The reported part is that of the data sets (see `parts.Part`), composed with voices and
        faces where the data have those without words.

        Raises:
            SemiIINError: as `run.prepare`, and when the data have no part to report.
        """
        prepared = prepare(config, run, data_root, report)
        samples = [(part.name, part.reported) for part in prepared.parts]
        reported = measured_examples(samples, prepared.encoders, run, config.seed, report)
        if not reported:
            raise SemiIINError(
                "the data have no part to report: there is no test part, and no data set splits "
                "its selection off the training part (set its `selection`)"
            )
        bench = cls(
            config=build_model(config, prepared.encoders).config,
            examples=prepared.examples,
            selection=prepared.selection,
            reported=reported,
            training=config.training,
            directory=run / experiment,
            objective=config.objective,
            compose=prepared.compose,
            device=prepared.device,
        )
        return bench, prepared

    def build(self, seed: int, changes: Mapping[str, Any] | None = None) -> SemiIIN:
        """Return a fresh model of a seed, with changes to its configuration."""
        torch.manual_seed(seed)
        return SemiIIN(replace(self.config, **(changes or {})))

    def train(self, model: SemiIIN, directory: Path, seed: int, report: Report) -> None:
        """Train a model on labels, in a directory of its own."""
        task = SentimentTask(
            model,
            self.examples,
            self.selection,
            batch_size=self.training.batch_size,
            objective=self.objective,
            seed=seed,
            compose=self.compose,
        )
        fit(task, self.training, directory, seed=seed, device=self.device, report=report)

    def measure(self, model: SemiIIN) -> Measured:
        """Return the usual metrics on each reported part; NaN where one is undefined."""
        parts: dict[str, list[Example]] = {}
        for example in self.reported:
            parts.setdefault(example.part, []).append(example)
        measured = {}
        for part, examples in parts.items():
            report = report_examples(model, examples, resamples=0)
            values = {name: report[name]["value"] for name in METRICS}
            measured[part] = {
                name: float("nan") if value is None else value for name, value in values.items()
            }
        return measured


def rows_by_part(first: Row, measured: Sequence[Measured]) -> list[Row]:
    """Return one record for each part: `first`, and each metric's values over the seeds."""
    return [
        first
        | {"part": part, "seeds": len(measured)}
        | {name: [seed[part][name] for seed in measured] for name in METRICS}
        for part in measured[0]
    ]
