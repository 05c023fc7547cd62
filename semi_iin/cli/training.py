"""The commands that train a checkpoint."""

from semi_iin.cli.options import ConfigArgument, RootOption, RunOption, run_directory
from semi_iin.cli.progress import screen, stage_bars


def train(config: ConfigArgument, run: RunOption = None, data_root: RootOption = None) -> None:
    """Train encoders and Semi-IIN from a configuration; resumes a stopped run."""
    from semi_iin import run as runs
    from semi_iin.settings import read_config

    settings = read_config(config)
    with stage_bars() as report:
        path = runs.train(
            settings, run_directory(run, settings.name), data_root=data_root, report=report
        )
    print(path)


def self_train(config: ConfigArgument, run: RunOption = None, data_root: RootOption = None) -> None:
    """Train, label the unlabeled data with the trained model, and retrain; in rounds."""
    from semi_iin import self_training
    from semi_iin.settings import read_config

    settings = read_config(config)
    with stage_bars() as report:
        path, rounds = self_training.train(
            settings, run_directory(run, settings.name), data_root=data_root, report=report
        )
    for outcome in rounds:
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
        count = len(outcome.pseudo_labels)
        screen.print(f"round {outcome.number}: {count} pseudo-labels  {metrics}")
    print(path)
