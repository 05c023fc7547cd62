"""A small bench for the experiments."""

from pathlib import Path

import pytest

from semi_iin.experiments.bench import Bench
from semi_iin.model_config import SemiIINConfig
from semi_iin.settings import Objective, Training
from tests.unit.semi_iin.generated import FEATURE_WIDTH, valence_examples


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(
        config=SemiIINConfig(
            audio_width=FEATURE_WIDTH,
            text_width=FEATURE_WIDTH,
            vision_width=FEATURE_WIDTH,
            hidden=8,
            heads=2,
            head_widths=(8,),
            audio_convs=((3, 1, 1),),
            max_audio=5,
            max_text=5,
            max_vision=5,
        ),
        examples=valence_examples(24, seed=1),
        selection=valence_examples(12, seed=2),
        reported=valence_examples(16, seed=3),
        training=Training(epochs=1, batch_size=8, learning_rate=3e-3),
        directory=tmp_path / "runs",
        objective=Objective(),
    )
