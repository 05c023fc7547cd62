"""A text encoder on data without valences in [-3, 3]: the encoder's stage of a run alone.

    python benchmarks/open_texts.py runs/text-open
    semi-iin report runs/text-open/checkpoint --dtype bfloat16

No text could train Semi-IIN afterwards, so the checkpoint has the Semi-IIN through which the
encoder was trained, without temperatures. A stopped run is resumed.
"""

import argparse
from pathlib import Path

from semi_iin import checkpoint as checkpoints
from semi_iin.device import find_device
from semi_iin.parts import read_parts
from semi_iin.pretraining.stages import train_encoders
from semi_iin.settings import read_config
from semi_iin.task import build_model


def main() -> None:
    """Train and store."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("run", type=Path)
    options.add_argument("--config", type=Path, default=Path("configs/text-open.toml"))
    arguments = options.parse_args()
    config = read_config(arguments.config)
    parts = read_parts(config, Path(config.data_root))
    encoders, start = train_encoders(config, parts, arguments.run, find_device(config.device))
    model = build_model(config, encoders, start)
    content = {
        "name": config.name,
        "model": model.config.to_dict(),
        "encoders": encoders.specs(),
        "temperatures": {},
    }
    weights = {f"model.{name}": value.half() for name, value in model.state_dict().items()}
    path = checkpoints.save(arguments.run / "checkpoint", weights | encoders.tensors(), content)
    print(path)


if __name__ == "__main__":
    main()
