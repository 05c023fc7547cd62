"""A single-node Apache Kafka on this machine, a child process with its data on disk.

It gives an address, `host:port`, that every Kafka client can use. It needs Java (see `java`),
writes Kafka's settings and formats its data directory. It knows no topic and no record.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from streamer import directories
from streamer.errors import BrokerError, ConfigError
from streamer.kafka.java import kafka_command

READY_S = 90.0
"""Longest time that Kafka may take to start."""
STOP_S = 30.0
"""Time for a clean stop; Kafka is killed after it."""
HEAP_MB = 512
_SCRAM_ITERATIONS = 8192

_END_WITH_PARENT = """\
exec 3<&0
"$@" </dev/null 3<&- &
kafka=$!
(read -r _ <&3; kill "$kafka") &
watcher=$!
wait "$kafka"
status=$?
kill "$watcher" 2>/dev/null
wait "$watcher" 2>/dev/null
exit "$status"
"""
"""Runs a command until it ends or standard input closes, which happens if the parent is killed.

The watcher must not outlive the command: it would hold the data directory's lock.
"""


def data_directory() -> Path:
    """Return the default directory of a Kafka's data."""
    return directories.data_dir() / "kafka"


class KafkaBroker:
    """A single-node Apache Kafka in KRaft mode.

    Clients need no credentials unless `users` (SASL PLAIN and SCRAM) or `certificate_file` (TLS)
    are given. Use creates no topic: `streamer.kafka.admin.ensure_topics` creates them. Kafka writes
    `broker.log` in the data directory, a new one at each start. The methods block.
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
        """Store the settings; `start`, or entering the context, starts Kafka.

        Args:
            data_dir: for data, settings and log; None for `data_directory()`. Its data is used.
            port: the port on 127.0.0.1; 0 for any free port.
            users: names and passwords; they take effect at the first start on a data directory.
            certificate_file: PEM with the unencrypted private key (PKCS#8) and certificate chain.
            client_ca_file: PEM; only clients with a certificate that it signed can connect.

        Raises:
            ConfigError: a user's name contains other characters than letters, digits and . _ -
        """
        for name in users or ():
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
                raise ConfigError(
                    f"The user name {name!r} may contain letters, digits and . _ - only."
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
        self._stopping = False

    def start(self) -> None:
        """Start Kafka and wait until it serves clients; do nothing if it already runs.

        Raises:
            BrokerError: Java or Maven is missing, the port is in use, or Kafka does not start.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        command = kafka_command("kafka.Kafka", str(self._settings_file), heap_mb=HEAP_MB)
        _require_free(self.port)
        self._lock_directory()
        try:
            self._write_settings()
            if not (self.data_dir / "logs" / "meta.properties").exists():
                self._format()
            self._process = self._launch(command)
            self._stopping = False
            self._wait_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Wait until Kafka ends; return at once if it was stopped, as after `stop`.

        Raises:
            BrokerError: it ended by itself; the data directory is unlocked.
        """
        process = self._process
        if process is None:
            return
        status = process.wait()
        if self._stopping:
            return
        self.stop()
        # The shell reports a signal as 128 plus its number.
        how = f"by signal {status - 128}" if status > 128 else f"with status {status}"
        raise BrokerError(
            f"Apache Kafka ended by itself, {how} ({self._last_error()}); its log is "
            f"{self.log_file}, its data are kept: start it again."
        )

    def stop(self) -> None:
        """Stop Kafka cleanly; kill it if that takes more than STOP_S."""
        self._stopping = True
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

    def _lock_directory(self) -> None:
        """Lock the data directory.

        Not with `directories.lock`: Kafka must inherit the lock, in case this process is killed.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = (self.data_dir / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise BrokerError(
                f"Another Kafka uses {self.data_dir}; use that one, stop it, or choose another "
                "--data-dir."
            ) from None

    def _launch(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        assert self._lock is not None
        with self.log_file.open("wb") as log_file:
            # In a session of its own it does not get Ctrl-C: it must stop after its clients.
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
        """Format the data directory as a new cluster that has the users' SCRAM secrets."""
        arguments = ["format", "-t", _cluster_id(uuid.uuid4()), "-c", str(self._settings_file)]
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
            lines = (result.stderr or result.stdout).strip().splitlines() or ["no message"]
            raise BrokerError(
                f"Apache Kafka cannot format {self.data_dir} ({lines[-1]}); use an empty directory."
            )

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise BrokerError(
                    f"Apache Kafka stopped while starting ({self._last_error()}); "
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


def _cluster_id(random: uuid.UUID) -> str:
    """Return a random cluster id in Kafka's form, URL-safe base64.

    Its first bit is always 0, because an id that begins with a dash looks like an option to
    Kafka's command line.
    """
    first, *others = random.bytes
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *others])).decode().rstrip("=")


def _escaped(value: str) -> str:
    """Escape a value for a Java properties file, which is Latin-1 with UTF-16 escapes."""
    units = value.replace("\\", "\\\\").encode("utf-16-be").hex(" ", 2).split()
    return "".join(
        chr(unit) if 0x20 < unit < 0x7F else f"\\u{unit:04x}"
        for unit in (int(unit, 16) for unit in units)
    )


def _jaas(password: str) -> str:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _scram(mechanism: str, name: str, password: str) -> str:
    """Return a user's SCRAM secret: salted, so that no password is on a command line."""
    salt, digest = os.urandom(16), "sha256" if mechanism.endswith("256") else "sha512"
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, _SCRAM_ITERATIONS)
    salt_text, salted_text = (base64.b64encode(part).decode() for part in (salt, salted))
    return (
        f"name={name},salt={salt_text},saltedpassword={salted_text},iterations={_SCRAM_ITERATIONS}"
    )


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def _require_free(port: int) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError as error:
            raise BrokerError(
                f"Port {port} on 127.0.0.1 is in use ({error.strerror}), perhaps by another "
                "broker: use that one with --broker, stop it, or choose another --port."
            ) from None
