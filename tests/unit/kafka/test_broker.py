"""Where Kafka comes from: the embedded broker, and what stops a real one in one sentence."""

import fcntl
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from streamer.errors import BrokerError, ConfigError
from streamer.kafka import apache
from streamer.kafka.apache import KafkaBroker
from streamer.kafka.embedded import EMBEDDED_PARTITION_BYTES, EmbeddedBroker, is_embedded


@pytest.fixture
def no_programs(monkeypatch, tmp_path) -> Path:
    """A machine with an empty search path and an empty cache; gives the folder of both."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)


# --- embedded -----------------------------------------------------------------------------------


def test_an_embedded_broker_is_recognised_by_its_address():
    with EmbeddedBroker() as running:
        assert is_embedded(running.address)


def test_two_embedded_brokers_are_two():
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.address != other.address


def test_a_closed_embedded_broker_is_gone():
    with EmbeddedBroker() as running:
        pass
    with pytest.raises(BrokerError, match=f"No Kafka broker answers at {running.address}"):
        is_embedded(running.address, timeout_s=0.5)


def test_nobody_at_the_address_is_said_in_one_sentence():
    with pytest.raises(BrokerError, match="streamer broker"):
        is_embedded("127.0.0.1:1", timeout_s=0.5)


def test_an_embedded_partition_forgets_its_oldest_beyond_five_megabytes(embedded_broker):
    """The limit that capture's `in_flight_bytes` rests on."""
    sent = EMBEDDED_PARTITION_BYTES // 100_000 * 2
    producer = Producer({"bootstrap.servers": embedded_broker})
    for k in range(sent):
        producer.produce("t", bytes(100_000), key=str(k), partition=0)
    producer.flush(10)
    consumer = Consumer(
        {"bootstrap.servers": embedded_broker, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["t"])
    kept = []
    while not kept or kept[-1] != str(sent - 1):
        message = consumer.poll(10)
        assert message is not None and message.error() is None
        kept.append(message.key().decode())
    consumer.close()
    assert sent // 4 < len(kept) <= EMBEDDED_PARTITION_BYTES // 100_000
    assert kept == [str(k) for k in range(sent - len(kept), sent)]


# --- real ---------------------------------------------------------------------------------------


def test_no_maven_names_the_packages(no_programs):
    with pytest.raises(BrokerError, match=r"install Debian's default-jre-headless and maven"):
        apache.kafka_command("kafka.Kafka")


def test_no_java_names_the_package(no_programs):
    (apache.cache_directory() / "jars").mkdir(parents=True)
    with pytest.raises(BrokerError, match=r"there is no `java`; install Debian's default-jre"):
        apache.kafka_command("kafka.Kafka")


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_391"])
def test_an_old_java_is_named_with_its_version(no_programs, version):
    (apache.cache_directory() / "jars").mkdir(parents=True)
    program(no_programs, "java", f"echo 'openjdk version \"{version}\"' >&2")
    major = "8" if version.startswith("1.8") else "11"
    with pytest.raises(BrokerError, match=f"is Java {major}; "):
        apache.kafka_command("kafka.Kafka")


def test_java_home_comes_before_the_path(no_programs, monkeypatch):
    (apache.cache_directory() / "jars").mkdir(parents=True)
    (no_programs / "home" / "bin").mkdir(parents=True)
    program(no_programs / "home" / "bin", "java", "echo 'openjdk version \"21.0.1\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(no_programs / "home"))
    command = apache.kafka_command("kafka.Kafka", "server.properties")
    assert command[0] == str(no_programs / "home" / "bin" / "java")
    assert command[-2:] == ["kafka.Kafka", "server.properties"]


def test_a_failed_fetch_says_why_and_leaves_nothing(no_programs):
    program(no_programs, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    program(no_programs, "mvn", "echo '[ERROR] no route to host'; exit 1")
    with pytest.raises(BrokerError, match="no route to host"):
        apache.kafka_command("kafka.Kafka")
    assert list(apache.cache_directory().iterdir()) == []


def stand_in(folder: Path, java: str) -> None:
    """A machine on which Kafka's jars are there and `java` is the given script."""
    (apache.cache_directory() / "jars").mkdir(parents=True)
    version = 'case "$1" in -version) echo \'openjdk version "17.0.1"\' >&2; exit;; esac'
    program(folder, "java", f"PATH=/usr/bin:/bin\n{version}\n{java}")


def test_a_port_that_is_taken_is_named(no_programs):
    stand_in(no_programs, "exit 0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"Port {port} on 127.0.0.1 is not free"):
            KafkaBroker(no_programs / "data", port=port).start()


def test_a_kafka_that_ends_at_once_gives_its_last_error(no_programs):
    stand_in(no_programs, "case \"$*\" in *StorageTool*) exit;; esac; echo ' ERROR disk full'")
    with pytest.raises(BrokerError, match=r"ended at once \(ERROR disk full\); its log is"):
        KafkaBroker(no_programs / "data", port=0).start()


def test_a_directory_that_kafka_does_not_format_is_named(no_programs):
    stand_in(no_programs, "echo 'it is no directory' >&2; exit 1")
    data = no_programs / "data"
    with pytest.raises(BrokerError, match=f"cannot format {data} .it is no directory."):
        KafkaBroker(data, port=0).start()


def test_one_data_directory_serves_one_kafka(no_programs):
    ready = 'case "$*" in *StorageTool*) exit;; esac; echo Kafka Server started; exec sleep 60'
    stand_in(no_programs, ready)
    data = no_programs / "data"
    with KafkaBroker(data, port=0):
        with pytest.raises(BrokerError, match=f"Another Kafka runs on {data}"):
            KafkaBroker(data, port=0).start()
    with KafkaBroker(data, port=0) as again:
        assert again.log_file.read_text().startswith("Kafka Server started")


def test_kafka_does_not_outlive_a_killed_parent(no_programs):
    ready = 'case "$*" in *StorageTool*) exit;; esac; echo Kafka Server started; exec sleep 60'
    stand_in(no_programs, ready)
    data = no_programs / "data"
    code = (
        "import sys, pathlib, streamer.kafka.broker as b; "
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


def test_what_the_server_is_told(no_programs):
    """Nothing beyond loopback, no topics by accident, users' passwords quoted and kept private."""
    ready = 'case "$*" in *StorageTool*) exit;; esac; echo Kafka Server started; exec sleep 60'
    stand_in(no_programs, ready)
    data = no_programs / "data"
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


def test_a_user_name_that_kafka_would_misread_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'a,b'"):
        KafkaBroker(tmp_path, port=0, users={"a,b": "secret"})


def test_compose_names_the_same_kafka():
    compose = (Path(__file__).resolve().parents[3] / "compose.yaml").read_text("utf-8")
    assert f"image: apache/kafka:{apache.KAFKA_VERSION}\n" in compose
