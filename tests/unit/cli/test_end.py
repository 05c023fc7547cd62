"""How the command line ends: a sentence and an exit code, no traceback for a user's fault."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from aiokafka.errors import NodeNotReadyError

from streamer.cli.app import app
from streamer.cli.main import end
from streamer.errors import BrokerError, ConfigError, ExitCode


def exit_code(error: BaseException) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        end(error)
    return ended.value.code


def test_a_group_ends_as_its_first_known_error(capsys: pytest.CaptureFixture[str]) -> None:
    group = BaseExceptionGroup(
        "", [KeyboardInterrupt(), ExceptionGroup("", [BrokerError("Gone.")])]
    )
    assert exit_code(group) == BrokerError.exit_code
    assert capsys.readouterr().err == "streamer: Gone.\n"


def test_one_error_ends_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(ConfigError("Set it.")) == ConfigError.exit_code
    assert exit_code(KeyboardInterrupt()) == ExitCode.INTERRUPTED
    assert exit_code(ExceptionGroup("", [ExceptionGroup("", [ConfigError("Set it.")])])) == (
        ConfigError.exit_code
    )
    assert capsys.readouterr().err == "streamer: Set it.\n" * 2


def test_an_error_of_the_kafka_client_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(ExceptionGroup("", [NodeNotReadyError("node 1")])) == ExitCode.BROKER
    assert capsys.readouterr().err.startswith("streamer: The Kafka broker failed (NodeNotReady")


def test_no_error_shows_the_secrets_of_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    address = "rtsp://ana:hunter2@camera/1?key=hunter2"
    exit_code(ConfigError(f"{address} is refused."))
    for arguments in (["run", address], [address]):
        with pytest.raises(SystemExit):
            app(arguments)
    errors = capsys.readouterr().err
    assert errors.count("rtsp://camera/1") == 3
    assert "hunter2" not in errors


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        end(ZeroDivisionError())


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error() -> None:
    script = (
        "import asyncio, sys\n"
        "from streamer.cli import main\n"
        "from streamer.cli.app import app\n"
        "@app.command()\n"
        "def chatter():\n"
        "    async def talk():\n"
        "        while True:\n"
        "            print('x' * 1000, flush=True)\n"
        "            await asyncio.sleep(0)\n"
        "    async def both():\n"
        "        async with asyncio.TaskGroup() as group:\n"
        "            group.create_task(talk())\n"
        "    asyncio.run(both())\n"
        "sys.argv = ['streamer', 'chatter']\n"
        "main()\n"
    )
    command = f'{sys.executable} -c "$SCRIPT" | head -1 >/dev/null; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "SCRIPT": script},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_locale_without_the_letters_of_a_name_is_no_error() -> None:
    script = (
        "import sys, typer\n"
        "from streamer.cli import main\n"
        "from streamer.cli.app import app\n"
        "@app.command()\n"
        "def hello(): print('Zoë 日本')\n"
        "sys.argv = ['streamer', 'hello']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Zo\\xeb \\u65e5\\u672c\n"), done.stderr
