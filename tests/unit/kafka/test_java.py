"""Java and Kafka's jars on machines where they are missing, too old or cannot be fetched."""

import pytest

from streamer.errors import BrokerError
from streamer.kafka import java
from tests.unit.kafka.conftest import Machine


def test_missing_maven_names_the_packages_to_install(machine: Machine) -> None:
    with pytest.raises(BrokerError, match=r"install Debian's default-jre-headless and maven"):
        java.kafka_command("kafka.Kafka")


def test_missing_java_names_the_package_to_install(machine: Machine) -> None:
    machine.install_jars()
    with pytest.raises(BrokerError, match=r"there is no `java`; install Debian's default-jre"):
        java.kafka_command("kafka.Kafka")


@pytest.mark.parametrize(("version", "major"), [("11.0.2", 11), ("1.8.0_391", 8)])
def test_an_old_java_is_refused_with_its_version(
    machine: Machine, version: str, major: int
) -> None:
    machine.install_jars()
    machine.install("java", f"echo 'openjdk version \"{version}\"' >&2")
    with pytest.raises(BrokerError, match=f"is Java {major}; "):
        java.kafka_command("kafka.Kafka")


def test_java_home_takes_precedence_over_the_search_path(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.install_jars()
    programs = machine.folder / "home" / "bin"
    machine.install("java", "echo 'openjdk version \"21.0.1\"' >&2", programs)
    monkeypatch.setenv("JAVA_HOME", str(programs.parent))
    command = java.kafka_command("kafka.Kafka", "server.properties")
    assert command[0] == str(programs / "java")
    assert command[-2:] == ["kafka.Kafka", "server.properties"]


def test_a_failed_fetch_gives_its_reason_and_leaves_no_files(machine: Machine) -> None:
    machine.install("java", "echo 'openjdk version \"17.0.1\"' >&2")
    machine.install("mvn", "echo '[ERROR] no route to host'; exit 1")
    with pytest.raises(BrokerError, match="no route to host"):
        java.kafka_command("kafka.Kafka")
    assert list(java.cache_directory().iterdir()) == []
