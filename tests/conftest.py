"""Fixtures that several rooms share: brokers and real data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streamer.kafka.apache import KafkaBroker
from streamer.kafka.embedded import EmbeddedBroker
from tests.running_kafka import running

ROOT = Path(__file__).resolve().parent.parent

# `suite` draws the same examples in every run, and `quick` fewer of them: `make quick`. `fuzz`
# draws new ones: `make fuzz`. No profile lets the speed of the machine decide.
TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", TIMELESS, derandomize=True)
settings.register_profile("quick", TIMELESS, derandomize=True, max_examples=5)
settings.register_profile("fuzz", TIMELESS, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture
def embedded_broker() -> Iterator[str]:
    """Address of a fresh embedded broker."""
    with EmbeddedBroker() as broker:
        yield broker.address


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Apache Kafka, one for the whole run: use a topic prefix of your own."""
    yield from running(KafkaBroker(tmp_path_factory.mktemp("kafka"), port=0))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; skips where there is none."""
    folder = Path(os.environ.get("STREAMER_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set STREAMER_DATA to its folder")
    return folder
