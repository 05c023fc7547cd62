"""Java and Apache Kafka's jars: how to run Kafka's server and its own tools.

It gives command lines. Maven fetches the jars from Maven Central once, into the user's cache.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from streamer import directories
from streamer.errors import BrokerError

log = logging.getLogger(__name__)

KAFKA_VERSION = "4.3.1"
"""The newest Apache Kafka whose jars are complete and that aiokafka and Faust speak correctly."""
JAVA_VERSION = 17

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>streamer</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
_MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def cache_directory() -> Path:
    """Return the directory of Apache Kafka's jars, in the application's cache."""
    return directories.cache_dir() / f"kafka-{KAFKA_VERSION}"


def kafka_command(main_class: str, *arguments: str, heap_mb: int = 256) -> list[str]:
    """Return the command line of Apache Kafka's server or of one of its tools.

    The first call fetches the jars (about 45 MB) from Maven Central into `cache_directory()`.

    Args:
        main_class: the Java class to run.
        arguments: its arguments.
        heap_mb: the largest heap, MB.

    Raises:
        BrokerError: Java or Maven is missing or too old, or the jars cannot be fetched.
    """
    jars = _jars()
    return [
        _java(),
        f"-Xmx{heap_mb}m",
        *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        "-cp",
        f"{jars}{os.sep}*",
        main_class,
        *arguments,
    ]


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if java is None:
        raise BrokerError(
            f"Apache Kafka needs Java {JAVA_VERSION} or newer and there is no `java`; "
            "install Debian's default-jre-headless, or set JAVA_HOME."
        )
    version = _java_version(java)
    if version < JAVA_VERSION:
        raise BrokerError(
            f"Apache Kafka needs Java {JAVA_VERSION} or newer and {java} is Java {version}; "
            "install Debian's default-jre-headless, or set JAVA_HOME."
        )
    return java


@functools.cache
def _java_version(java: str) -> int:
    """Return the major version, or 0 if `java -version` does not print one."""
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(?:1\.)?(\d+)', result.stderr)
    return int(version[1]) if version else 0


def _jars() -> Path:
    """Return the directory of Apache Kafka's jars; fetch them if it does not exist."""
    cache = cache_directory()
    jars = cache / "jars"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError(
            "Maven fetches Apache Kafka's jars and there is no `mvn`; install Debian's "
            "default-jre-headless and maven."
        )
    _java()
    cache.mkdir(parents=True, exist_ok=True)
    log.info("Fetching Apache Kafka %s (about 45 MB) into %s.", KAFKA_VERSION, cache)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _fetch_jars(maven, Path(folder))
        # Two processes may fetch at once; the jars of the first to finish are used.
        with contextlib.suppress(OSError):
            (Path(folder) / "jars").rename(jars)
    return jars


def _fetch_jars(maven: str, folder: Path) -> None:
    """Fetch the jars into `folder/jars`."""
    (folder / "pom.xml").write_text(_POM, "utf-8")
    result = subprocess.run(
        [
            *(maven, "-B", "-q", "-f", f"{folder}/pom.xml", _MAVEN_GOAL),
            *("-DincludeScope=runtime", f"-DoutputDirectory={folder}/jars"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        errors = [line for line in result.stdout.splitlines() if "ERROR" in line]
        reason = errors[0] if errors else "no reason given"
        raise BrokerError(
            f"Maven cannot fetch Apache Kafka {KAFKA_VERSION} ({reason}); "
            "try again where Maven Central can be reached."
        )
