"""Two people join a room from headless Chromium, whose fake microphones play speech."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from streamer.audio import Resampler
from streamer.recording.reader import Recordings
from streamer.records import SAMPLE_RATE_HZ, Session
from tests.integration.test_dashboard_page import FLAGS, PATIENCE_S
from tests.integration.test_live import next_line, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def sound_of(recording: Path, path: Path) -> Path:
    """Write the sound of a recording as WAV."""
    resampler = Resampler()
    with av.open(str(recording)) as container:
        parts = [resampler.push(frame) for frame in container.decode(audio=0)]
    samples = np.concatenate([*parts, resampler.flush()])
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@contextlib.contextmanager
def browser(profile: Path, sound: Path) -> Iterator[webdriver.Chrome]:
    """A headless Chromium whose fake microphone plays a file, again and again."""
    binary, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver_path is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = Options()
    options.binary_location = binary
    for flag in (
        *FLAGS,
        f"--user-data-dir={profile}",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream=fps=5",  # a light camera
        f"--use-file-for-fake-audio-capture={sound}",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        yield driver
    finally:
        driver.quit()


def join_link(room: subprocess.Popen[str]) -> str:
    assert room.stderr is not None
    links = (re.match(r"Join link: (\S+)", line) for line in room.stderr)
    return next(found[1] for found in links if found)


def ended_by(room: subprocess.Popen[str], name: str) -> None:
    """Wait for the final record of a participant, who has left."""
    while True:
        record = json.loads(next_line(room))
        if record["participant_id"] == name and record["final"]:
            return


def until(driver: webdriver.Chrome, selector: str, text: str) -> None:
    WebDriverWait(driver, PATIENCE_S, 0.1).until(
        lambda _: text in driver.find_element(By.CSS_SELECTOR, selector).text,
        f"{text!r} in {selector}",
    )


def join(driver: webdriver.Chrome, link: str, name: str, shared: set[str]) -> None:
    """Join by keyboard, as a person does."""
    driver.get(link)
    until(driver, "#statement", "estimate sentiment")
    driver.find_element(By.ID, "name").send_keys(name)
    for box in driver.find_elements(By.NAME, "share"):
        if box.is_selected() != (box.get_attribute("value") in shared):
            box.send_keys(Keys.SPACE)
    driver.find_element(By.ID, "agreed").send_keys(Keys.SPACE)
    driver.find_element(By.ID, "name").send_keys(Keys.ENTER)
    preview = driver.find_element(By.ID, "ready")
    WebDriverWait(driver, PATIENCE_S, 0.1).until(lambda _: preview.is_displayed(), "a preview")
    preview.find_element(By.CSS_SELECTOR, "button[type=submit]").send_keys(Keys.ENTER)
    until(driver, "#status", f"You are in, as {name}.")


def test_two_pages_join_and_their_words_and_sentiment_come_out_under_their_names(
    tmp_path: Path, short: dict[str, Path], embedded_broker: str
) -> None:
    sound = sound_of(short["ana"], tmp_path / "speech.wav")
    with started(
        *("room", "--json", "--session", "standup", "--port", "0", "--no-page"),
        *("--broker", embedded_broker, "--record", str(tmp_path / "recordings")),
    ) as room:
        link = join_link(room)
        with browser(tmp_path / "profile", sound) as driver:
            join(driver, link, "Ana", {"text", "audio", "vision"})
            driver.switch_to.new_window("tab")
            join(driver, link, "Bo", {"text"})
            spoken: dict[str, str] = {}
            scored: dict[str, set[str]] = {}
            while len(scored) < 2 or not all(spoken.values()):
                record = json.loads(next_line(room))
                name = record["participant_id"]
                spoken[name] = f"{spoken.get(name, '')} {record['text']}".strip()
                if record["valence"] is not None:
                    scored.setdefault(name, set()).update(record["evidence"])
            driver.find_element(By.ID, "leave").click()
            until(driver, "#status", "You have left")
            ended_by(room, "Bo")
        room.send_signal(signal.SIGINT)
        _, errors = room.communicate(timeout=60)
        assert room.returncode == 0, errors
    recordings = Recordings(tmp_path / "recordings")
    *_, recorded = recordings.records(recordings.find("standup"), Session)
    shared = {p.participant_id: p.consent and p.consent.modalities for p in recorded.participants}
    assert (recorded.state, shared) == (
        "ended",
        {"Ana": ("audio", "text", "vision"), "Bo": ("text",)},
    )
    assert scored["Bo"] == {"text"}
    assert "audio" in scored["Ana"]
