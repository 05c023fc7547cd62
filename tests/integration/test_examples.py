"""The examples as a user runs them: each against a broker with a published session."""

import asyncio
import json
import os
import shutil
import sys
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from streamer import audio, dashboard
from streamer.config import Config, build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.producer import Producer
from tests.made_records import alert, sentiment, with_sessions
from tests.unit.room.test_room_session import open_room, until

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_S = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def config(embedded_broker: str) -> Config:
    """A broker with a small session on it."""
    chosen = build({"kafka": {"broker": embedded_broker}})
    await ensure_topics(chosen)
    async with Producer(chosen) as publisher:
        for record in with_sessions(
            sentiment(0, text="good morning"),
            sentiment(0, participant_id="bo", session_id="another"),
            sentiment(1, None, text="hm"),
            alert(),
            alert(state="cleared"),
        ):
            await publisher.publish(record)
    return chosen


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.StreamReader]:
    """A command's standard output; the command ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(output: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(output.readline(), PATIENCE_S)).decode().rstrip("\n")


async def test_follow(config: Config) -> None:
    command = (sys.executable, str(EXAMPLES / "follow.py"), config.kafka.broker, "standup")
    async with running(*command) as output:
        assert await line(output) == "ana 1 0.5 weakly positive good morning"
        assert await line(output) == "ana 2 None None hm"
        async with Producer(config) as publisher:
            await publisher.publish(sentiment(2, 0.25, text="and now"))
        assert await line(output) == "ana 3 0.25 neutral and now"


async def test_alarms(config: Config) -> None:
    command = (sys.executable, str(EXAMPLES / "alarms.py"), config.kafka.broker)
    async with running(*command) as output:
        assert await line(output) == f"09:00:08 standup: {alert().message}"


async def test_kcat(config: Config) -> None:
    if not shutil.which("kcat"):
        pytest.skip("kcat is not installed; `scripts/setup test` installs it")
    async with running(str(EXAMPLES / "kcat.sh"), config.kafka.broker) as output:
        output_lines = await asyncio.wait_for(output.read(), PATIENCE_S)
    records = [json.loads(line_read) for line_read in output_lines.splitlines()]
    assert sorted((r["session_id"], r["window_index"], r["valence"]) for r in records) == [
        ("another", 0, 0.5),
        ("standup", 0, 0.5),
        ("standup", 1, None),
    ]


async def test_browser(config: Config) -> None:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium is not installed; `scripts/setup test` installs it")
    script = (EXAMPLES / "browser.js").read_text("utf-8")
    async with dashboard.showing(config, any_port=True) as page:
        output_lines = await asyncio.to_thread(console_of, page.url(), script)
    assert output_lines[:2] == [["ana", 1, 0.5, "weakly positive"], ["ana", 2, None, None]]


def console_of(url: str, script: str) -> list[list[object]]:
    """What the page's console is told by the script, as soon as it is told two lines."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium") or ""
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options, service) as driver:
        driver.get(url)
        driver.execute_script(
            "window.told = []; console.log = (...line) => window.told.push(line);" + script
        )
        WebDriverWait(driver, PATIENCE_S, 0.2).until(
            lambda _: driver.execute_script("return window.told.length >= 2")
        )
        output_lines: list[list[object]] = driver.execute_script("return window.told")
        return output_lines


def tone(path: Path, seconds: float) -> Path:
    """Write a tone as WAV."""
    times_s = np.arange(round(seconds * 22_050)) / 22_050
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 22_050, 0, "NONE", ""))
        out.writeframes((8_000 * np.sin(2_000 * times_s)).astype("<i2").tobytes())
    return path


async def test_join(tmp_path: Path) -> None:
    sound, begun_ns = tone(tmp_path / "tone.wav", 1.5), time.monotonic_ns()
    async with open_room() as room:

        def passing() -> list[object]:
            room.now_ns = time.monotonic_ns() - begun_ns
            return [window for window in room.windows("Ana") if window.final]

        command = (str(EXAMPLES / "join.py"), room.links[0], str(sound), "Ana")
        async with running(sys.executable, *command) as output:
            assert "estimate sentiment" in await line(output)
            assert "may be recorded" in await line(output)
            assert await line(output) == "{'type': 'joined', 'name': 'Ana'}"
            await until(passing)
        windows = room.windows("Ana")
    levels = [np.abs(audio.decode(w.audio, w.audio_codec)).max() for w in windows if w.audio]
    assert max(levels) > 0.2
    assert windows[-1].end_ns - windows[0].start_ns > 1_000_000_000
