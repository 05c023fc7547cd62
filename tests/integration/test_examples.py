"""The examples as a user runs them: each against a broker with a published session."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streamer import dashboard
from streamer.config import Config, build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.producer import Producer
from tests.made_records import alert, sentiment, with_sessions

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
