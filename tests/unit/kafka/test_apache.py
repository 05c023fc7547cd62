"""Apache Kafka's settings, its start and its errors, with a stand-in for Java."""

import asyncio
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamer.cli.stages import until_ended
from streamer.errors import BrokerError, ConfigError
from streamer.kafka import java
from streamer.kafka.apache import KafkaBroker, _cluster_id
from tests.unit.kafka.conftest import Machine

FORMATS_AND_RUNS = (
    'case "$*" in *StorageTool*) exit;; esac; echo Kafka Server started; exec sleep 60'
)


@pytest.mark.parametrize("first_byte", range(256))
def test_a_cluster_id_never_begins_with_a_dash(first_byte: int) -> None:
    cluster_id = _cluster_id(uuid.UUID(bytes=bytes([first_byte]) + bytes(15)))
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", cluster_id)


def test_a_port_in_use_is_refused(machine: Machine) -> None:
    machine.install_kafka("exit 0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"Port {port} on 127.0.0.1 is in use"):
            KafkaBroker(machine.folder / "data", port=port).start()


def test_a_kafka_that_does_not_start_gives_its_last_error(machine: Machine) -> None:
    machine.install_kafka("case \"$*\" in *StorageTool*) exit;; esac; echo ' ERROR disk full'")
    with pytest.raises(BrokerError, match=r"while starting \(ERROR disk full\); its log is"):
        KafkaBroker(machine.folder / "data", port=0).start()


def test_a_directory_that_kafka_cannot_format_is_refused(machine: Machine) -> None:
    machine.install_kafka("echo 'it is no directory' >&2; exit 1")
    data = machine.folder / "data"
    with pytest.raises(BrokerError, match=f"cannot format {data} .it is no directory."):
        KafkaBroker(data, port=0).start()


def test_a_data_directory_is_used_by_one_kafka_at_a_time(machine: Machine) -> None:
    machine.install_kafka(FORMATS_AND_RUNS)
    data = machine.folder / "data"
    with KafkaBroker(data, port=0):
        with pytest.raises(BrokerError, match=f"Another Kafka uses {data}"):
            KafkaBroker(data, port=0).start()
    with KafkaBroker(data, port=0) as again:
        assert again.log_file.read_text().startswith("Kafka Server started")


def test_a_kafka_that_dies_is_reported_and_its_directory_is_free(machine: Machine) -> None:
    """The process is killed as by a lack of memory, and the next start finds no lock."""
    machine.install_kafka(
        'case "$*" in *StorageTool*) exit;; esac; '
        "echo Kafka Server started; echo $$ >pid; exec sleep 60"
    )
    data = machine.folder / "data"
    with KafkaBroker(data, port=0) as running:
        os.kill(int((data / "pid").read_text()), signal.SIGKILL)
        with pytest.raises(BrokerError, match=r"by itself, by signal 9 \(.*its data are kept"):
            running.wait()
        with KafkaBroker(data, port=0) as again:
            assert again.log_file.read_text().startswith("Kafka Server started")


def test_waiting_for_a_kafka_ends_with_its_stop(machine: Machine) -> None:
    machine.install_kafka(FORMATS_AND_RUNS)
    with ThreadPoolExecutor(1) as thread, KafkaBroker(machine.folder / "data", port=0) as running:
        waiting = thread.submit(running.wait)
        running.stop()
        assert waiting.result(10) is None


@pytest.mark.parametrize("dies", [True, False])
async def test_the_command_waits_for_its_stop_or_for_the_end_of_kafka(
    machine: Machine, dies: bool
) -> None:
    machine.install_kafka(
        'case "$*" in *StorageTool*) exit;; esac; '
        "echo Kafka Server started; echo $$ >pid; exec sleep 60"
    )
    stop = asyncio.Event()
    with KafkaBroker(machine.folder / "data", port=0) as running:
        waiting = asyncio.create_task(until_ended(running, stop))
        await asyncio.sleep(0)
        if dies:
            os.kill(int((running.data_dir / "pid").read_text()), signal.SIGTERM)
            with pytest.raises(BrokerError, match="ended by itself, by signal 15"):
                await waiting
        else:
            stop.set()
            await waiting


def test_kafka_stops_when_its_parent_is_killed(machine: Machine) -> None:
    machine.install_kafka(FORMATS_AND_RUNS)
    data = machine.folder / "data"
    code = (
        "import sys, pathlib, streamer.kafka.apache as b; "
        "kafka = b.KafkaBroker(pathlib.Path(sys.argv[1]), port=0); kafka.start(); "
        "print('up', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"up\n"
        with (data / "lock").open("ab") as lock:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            parent.kill()
            fcntl.flock(lock, fcntl.LOCK_EX)  # held by Kafka itself until it ends


def test_the_server_listens_on_loopback_and_keeps_passwords_private(machine: Machine) -> None:
    """It also creates no topics on use, and quotes passwords."""
    machine.install_kafka(FORMATS_AND_RUNS)
    data = machine.folder / "data"
    with KafkaBroker(data, port=0, users={"ana": 'a"b\\cé'}) as running:
        path = data / "server.properties"
        settings = dict(line.split("=", 1) for line in path.read_text("utf-8").splitlines())
        assert path.stat().st_mode & 0o777 == 0o600
    listeners = settings["listeners"].split(",")
    assert listeners[0] == f"CLIENTS://{running.address}"
    assert all("://127.0.0.1:" in listener for listener in listeners)
    assert "CLIENTS:SASL_PLAINTEXT" in settings["listener.security.protocol.map"]
    assert settings["auto.create.topics.enable"] == "false"
    jaas = settings["listener.name.clients.plain.sasl.jaas.config"]
    unescaped = jaas.encode("ascii").decode("unicode_escape")
    assert unescaped.endswith(r'PlainLoginModule required user_ana="a\"b\\cé";')


def test_a_user_name_with_special_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'a,b'"):
        KafkaBroker(tmp_path, port=0, users={"a,b": "secret"})


def test_compose_uses_the_same_kafka_version() -> None:
    compose = (Path(__file__).resolve().parents[3] / "compose.yaml").read_text("utf-8")
    assert f"image: apache/kafka:{java.KAFKA_VERSION}\n" in compose
