"""Where Kafka comes from: a broker inside this process, or a real single-node Apache Kafka.

What leaves: an address, `host:port`, that every Kafka client can use. `EmbeddedBroker` needs
nothing, keeps 5 MB per partition in memory and drops the oldest beyond that; `KafkaBroker` needs
Java, fetches Apache Kafka's jars once and keeps data on disk. Knows no topic and no record.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import functools
import hashlib
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from streamer.errors import BrokerError, ConfigError

log = logging.getLogger("streamer.broker")

KAFKA_VERSION = "4.3.1"
"""The newest Apache Kafka whose jars are complete and that aiokafka and Faust speak correctly."""
JAVA_VERSION = 17
READY_S = 90.0
STOP_S = 30.0
HEAP_MB = 512
_SCRAM_ITERATIONS = 8192

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
_END_WITH_PARENT = """\
exec 3<&0
"$@" </dev/null 3<&- &
kafka=$!
(read -r _ <&3; kill "$kafka") &
wait "$kafka"
"""
"""Runs a command until it ends or standard input closes, as it does when the parent is killed."""
_MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def cache_directory() -> Path:
    """Where Apache Kafka's jars are kept: `streamer/kafka-VERSION` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamer" / f"kafka-{KAFKA_VERSION}"


def data_directory() -> Path:
    """Where a Kafka keeps its data unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "streamer" / "kafka"


def kafka_command(main_class: str, *arguments: str, heap_mb: int = 256) -> list[str]:
    """Command line of Apache Kafka's server or of one of its own tools.

    Fetches the jars from Maven Central into `cache_directory()` on the first call (about 45 MB).

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


class KafkaBroker:
    """A single-node Apache Kafka in KRaft mode, a child process with its data on disk.

    Clients are asked for nothing unless `users` (SASL PLAIN and SCRAM) or `certificate_file` (TLS)
    are given. Topics are not made by first use: `streamer.topics.ensure_topics` makes them. Kafka
    logs to `broker.log` in the data directory, begun anew at each start. Blocking; use a thread
    where an event loop must go on.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int = 9092,
        users: Mapping[str, str] | None = None,
        certificate_file: Path | None = None,
        client_ca_file: Path | None = None,
    ) -> None:
        """Keep the settings; `start`, or entering the context, starts it.

        Args:
            data_dir: data, settings and log; None for `data_directory()`. Data in it is kept.
            port: on 127.0.0.1; 0 for any free one.
            users: names and passwords; given with the first start on a data directory.
            certificate_file: PEM, the unencrypted private key (PKCS#8) and the certificate chain.
            client_ca_file: PEM; only clients with a certificate signed by it are let in.

        Raises:
            ConfigError: a user's name does not do.
        """
        for name in users or ():
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
                raise ConfigError(
                    f"The user name {name!r} may hold letters, digits and . _ - only."
                )
        self.data_dir = (data_dir or data_directory()).expanduser().absolute()
        self.port = port or _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log_file = self.data_dir / "broker.log"
        self._users = dict(users or {})
        self._certificate_file = certificate_file
        self._client_ca_file = client_ca_file
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: BinaryIO | None = None

    def start(self) -> None:
        """Start it and wait until it serves clients; nothing to do when it runs.

        Raises:
            BrokerError: Java, Maven or the port is not to be had, or Kafka ends at once.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        command = kafka_command("kafka.Kafka", str(self._settings_file), heap_mb=HEAP_MB)
        _demand_free(self.port)
        self._take_directory()
        try:
            self._write_settings()
            if not (self.data_dir / "logs" / "meta.properties").exists():
                self._format()
            self._process = self._launch(command)
            self._wait_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it cleanly; killed if that takes more than STOP_S."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _settings_file(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def _protocol(self) -> str:
        wire = "SSL" if self._certificate_file else "PLAINTEXT"
        return f"SASL_{wire}" if self._users else wire

    def _take_directory(self) -> None:
        """Lock the data directory; Kafka inherits the lock, should it outlive us."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = (self.data_dir / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise BrokerError(
                f"Another Kafka runs on {self.data_dir}; use that one, stop it, or choose another "
                "--data-dir."
            ) from None

    def _launch(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        assert self._lock is not None
        with self.log_file.open("wb") as log_file:
            # A session of its own: Ctrl-C reaches us, and we stop Kafka after its clients.
            return subprocess.Popen(
                ["/bin/sh", "-c", _END_WITH_PARENT, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                cwd=self.data_dir,
                start_new_session=True,
                pass_fds=[self._lock.fileno()],
            )

    def _write_settings(self) -> None:
        internal, controller = _free_port(), _free_port()
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "listeners": f"CLIENTS://{self.address},INTERNAL://127.0.0.1:{internal},"
            f"CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENTS://{self.address},INTERNAL://127.0.0.1:{internal}",
            "listener.security.protocol.map": f"CLIENTS:{self._protocol},INTERNAL:PLAINTEXT,"
            "CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data_dir / "logs"),
            "auto.create.topics.enable": "false",
            "num.partitions": "4",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.retention.check.interval.ms": "60000",
            "log.segment.bytes": str(64 * 1024 * 1024),
            **self._sasl_settings(),
            **self._tls_settings(),
        }
        lines = (f"{name}={_escaped(value)}\n" for name, value in settings.items())
        self._settings_file.touch(mode=0o600)
        self._settings_file.chmod(0o600)
        self._settings_file.write_text("".join(lines), "utf-8")

    def _sasl_settings(self) -> dict[str, str]:
        if not self._users:
            return {}
        listener = "listener.name.clients"
        module = "org.apache.kafka.common.security"
        plain_users = " ".join(
            f"user_{name}={_jaas(password)}" for name, password in self._users.items()
        )
        scram = f"{module}.scram.ScramLoginModule required;"
        return {
            f"{listener}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            f"{listener}.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required "
            f"{plain_users};",
            f"{listener}.scram-sha-256.sasl.jaas.config": scram,
            f"{listener}.scram-sha-512.sasl.jaas.config": scram,
        }

    def _tls_settings(self) -> dict[str, str]:
        if self._certificate_file is None:
            return {}
        listener = "listener.name.clients.ssl"
        settings = {
            f"{listener}.keystore.type": "PEM",
            f"{listener}.keystore.location": str(self._certificate_file.absolute()),
        }
        if self._client_ca_file is not None:
            settings |= {
                f"{listener}.client.auth": "required",
                f"{listener}.truststore.type": "PEM",
                f"{listener}.truststore.location": str(self._client_ca_file.absolute()),
            }
        return settings

    def _format(self) -> None:
        """Make the data directory a cluster, with the users' SCRAM secrets in it."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", "-t", cluster_id, "-c", str(self._settings_file)]
        for name, password in self._users.items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                arguments += ["-S", f"{mechanism}=[{_scram(mechanism, name, password)}]"]
        result = subprocess.run(
            kafka_command("kafka.tools.StorageTool", *arguments),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            why = (result.stderr or result.stdout).strip().splitlines()[-1:] or ["no message"]
            raise BrokerError(
                f"Apache Kafka cannot format {self.data_dir} ({why[0]}); give an empty directory."
            )

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise BrokerError(
                    f"Apache Kafka ended at once ({self._last_error()}); "
                    f"its log is {self.log_file}."
                )
            if "Kafka Server started" in self.log_file.read_text("utf-8", "replace"):
                return
            time.sleep(0.2)
        raise BrokerError(
            f"Apache Kafka was not ready within {READY_S:g} s; its log is {self.log_file}."
        )

    def _last_error(self) -> str:
        lines = self.log_file.read_text("utf-8", "replace").strip().splitlines()
        errors = [line for line in lines if " ERROR " in line or " FATAL " in line]
        return (errors or lines or ["it logged nothing"])[-1].strip()[:500]


def _escaped(value: str) -> str:
    """A value in a Java properties file, which is Latin-1 with UTF-16 escapes."""
    units = value.replace("\\", "\\\\").encode("utf-16-be").hex(" ", 2).split()
    return "".join(
        chr(unit) if 0x20 < unit < 0x7F else f"\\u{unit:04x}"
        for unit in (int(unit, 16) for unit in units)
    )


def _jaas(password: str) -> str:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _scram(mechanism: str, name: str, password: str) -> str:
    """A user's SCRAM secret for the cluster: salted, so that no password is on a command line."""
    salt, digest = os.urandom(16), "sha256" if mechanism.endswith("256") else "sha512"
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, _SCRAM_ITERATIONS)
    salt_text, salted_text = (base64.b64encode(part).decode() for part in (salt, salted))
    return (
        f"name={name},salt={salt_text},saltedpassword={salted_text},iterations={_SCRAM_ITERATIONS}"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _demand_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BrokerError(
                f"Port {port} on 127.0.0.1 is not free ({error.strerror}); another broker may run "
                "there: use it with --broker, stop it, or choose another --port."
            ) from None


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
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else 0


def _jars() -> Path:
    """The folder of Apache Kafka's jars, fetched by Maven when it is not there."""
    cache = cache_directory()
    jars = cache / "jars"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError(
            "Apache Kafka's jars are fetched by Maven and there is no `mvn`; install Debian's "
            "default-jre-headless and maven."
        )
    _java()
    cache.mkdir(parents=True, exist_ok=True)
    log.info("Fetching Apache Kafka %s (about 45 MB) into %s.", KAFKA_VERSION, cache)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        (Path(folder) / "pom.xml").write_text(_POM, "utf-8")
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
            why = errors[0] if errors else "no reason given"
            raise BrokerError(
                f"Maven cannot fetch Apache Kafka {KAFKA_VERSION} ({why}); "
                "try again where Maven Central can be reached."
            )
        # Two processes may fetch at once: the first folder in place is as good as the second.
        with contextlib.suppress(OSError):
            (Path(folder) / "jars").rename(jars)
    return jars
