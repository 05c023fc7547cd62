"""A Kafka that does not start fails its tests with the log; only a missing Java skips them."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.errors import BrokerError
from streamer.kafka.apache import KafkaBroker
from tests.running_kafka import running


class BrokenKafka(KafkaBroker):
    """A Kafka that logs why it fails."""

    def start(self) -> None:
        self.log_file.write_text("ERROR no space left")
        raise BrokerError("Apache Kafka was not ready within 90 s.")


@pytest.mark.kafka
def test_a_kafka_that_does_not_start_is_a_failure_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"not ready within 90 s\.\nERROR no space"):
        next(running(BrokenKafka(tmp_path, port=0)))
