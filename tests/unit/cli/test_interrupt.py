"""Ctrl-C: answered at once, with what the end waits for; the second one ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.cli.context import needs_stages
from streamer.cli.terminal import STOPPING, until_signal
from streamer.config import load
from streamer.errors import ConfigError, ExitCode
from streamer.stopping import Stop


def test_the_first_ctrl_c_is_answered_and_the_end_says_what_it_waits_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = ""

    async def work(stop: Stop) -> str:
        nonlocal printed
        os.kill(os.getpid(), signal.SIGINT)
        await stop.wait()
        stop.wait_for("the last 3 windows")
        while "Waiting for the last 3 windows" not in printed:
            await asyncio.sleep(0)
            printed += capsys.readouterr().err
        return "done"

    before = signal.getsignal(signal.SIGINT)
    try:
        assert until_signal(work, report_s=0.01) == ("done", True)
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert printed.startswith(STOPPING)


def test_without_a_signal_the_handlers_are_as_before() -> None:
    async def work(stop: Stop) -> int:
        return 7

    before = signal.getsignal(signal.SIGINT)
    assert until_signal(work) == (7, False)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_the_second_ctrl_c_ends_a_process_whose_thread_and_loop_hang() -> None:
    script = (
        "import asyncio, threading, time\n"
        "from streamer.cli import terminal\n"
        "from streamer.cli.main import end\n"
        "async def work(stop):\n"
        "    threading.Thread(target=threading.Event().wait).start()\n"
        "    print('up', flush=True)\n"
        "    await stop.wait()\n"
        "    while True: time.sleep(0.05)\n"
        "try:\n"
        "    terminal.until_signal(work)\n"
        "except BaseException as error:\n"
        "    end(error)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().strip() == STOPPING
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == ExitCode.INTERRUPTED
        assert process.stderr.read() == ""


@pytest.mark.parametrize("package", ["streamer", "semi_iin"])
def test_ctrl_c_while_importing_leaves_no_traceback(package: str) -> None:
    script = (
        "import sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name.startswith('{package}.cli'): raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Slow())\n"
        f"from {package}.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "")


@pytest.mark.slow
def test_a_module_in_the_working_directory_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('run from the working directory')\n")
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "config", "show"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "working directory" not in done.stderr


def test_stages_elsewhere_cannot_reach_the_embedded_broker() -> None:
    with pytest.raises(ConfigError, match="--no-stages needs a running broker"):
        needs_stages(load(None, []), no_stages=True)
    needs_stages(load(None, []), no_stages=False)
    needs_stages(load(None, ["kafka.broker=localhost:9092"]), no_stages=True)


def test_numpys_library_has_one_thread_unless_the_user_says_otherwise() -> None:
    code = (
        "import os, sys\nfrom streamer.__main__ import main\nsys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: print('threads', os.environ['OPENBLAS_NUM_THREADS'])"
    )
    for stated, threads in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")):
        clean = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
        command = [sys.executable, "-c", code]
        printed = subprocess.run(command, env=clean | stated, capture_output=True, text=True)
        assert f"threads {threads}" in printed.stdout, printed.stderr
