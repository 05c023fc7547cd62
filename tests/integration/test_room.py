"""People join rooms from headless Chromium, whose fake microphone plays speech."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import time
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
from streamer.room.inbox import Inbox
from streamer.room.peer import WebRtcPeer
from tests.browser import FLAGS, PATIENCE_S
from tests.integration.test_live import next_line, started
from tests.unit.room.test_room_session import open_room
from tests.unit.room.test_room_session import until as holds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

WATCHED = """
window.peers = [];
window.asked = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) { super(...args); window.peers.push(this); }
};
const media = navigator.mediaDevices;
const ask = media.getUserMedia.bind(media);
media.getUserMedia = (kinds) => { window.asked.push(Object.keys(kinds)); return ask(kinds); };
"""
"""Keeps a page's connections, and which devices it asks for."""


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


@pytest.fixture(scope="module")
def driver(
    tmp_path_factory: pytest.TempPathFactory, short: dict[str, Path]
) -> Iterator[webdriver.Chrome]:
    """A headless Chromium whose fake microphone plays Ana's speech, again and again."""
    binary, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver_path is None:
        pytest.skip("chromium and chromedriver are not installed")
    folder = tmp_path_factory.mktemp("browser")
    options = Options()
    options.binary_location = binary
    for flag in (
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream=fps=5",  # a light camera
        f"--use-file-for-fake-audio-capture={sound_of(short['ana'], folder / 'speech.wav')}",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        yield driver
    finally:
        driver.quit()


def new_tab(driver: webdriver.Chrome) -> str:
    driver.switch_to.new_window("tab")
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCHED})
    return driver.current_window_handle


def links(room: subprocess.Popen[str]) -> dict[str, str]:
    """The links that `streamer room` prints for its first room, the join link last."""
    assert room.stderr is not None
    found: dict[str, str] = {}
    for line in room.stderr:
        found |= re.findall(r"^(Live page|Host's link|Join link): (\S+)", line)
        if "Join link" in found:
            break
    return found


def ended_by(room: subprocess.Popen[str], name: str) -> None:
    """Wait for the final record of a participant, who has left."""
    while True:
        record = json.loads(next_line(room))
        if record["participant_id"] == name and record["final"]:
            return


def stopped_at(recordings: Recordings) -> int:
    """Wait for the session time at which recording stopped, milliseconds."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        *_, session = recordings.records(recordings.find("standup"), Session)
        (times,) = session.recorded_times or ()
        if times.end_ms is not None:
            return times.end_ms
        time.sleep(0.2)
    raise AssertionError("the recording has no stop")


def until(driver: webdriver.Chrome, selector: str, text: str) -> None:
    WebDriverWait(driver, PATIENCE_S, 0.1, ignored_exceptions=[Exception]).until(
        lambda _: text in driver.find_element(By.CSS_SELECTOR, selector).text,
        f"{text!r} in {selector}",
    )


def press(driver: webdriver.Chrome, selector: str) -> None:
    """Press a button by keyboard as soon as it is there."""
    WebDriverWait(driver, PATIENCE_S, 0.1, ignored_exceptions=[Exception]).until(
        lambda _: driver.find_element(By.CSS_SELECTOR, selector).is_displayed(), selector
    )
    driver.find_element(By.CSS_SELECTOR, selector).send_keys(Keys.ENTER)


def agree(driver: webdriver.Chrome, link: str, name: str, shared: set[str]) -> None:
    """Agree by keyboard, as a person does."""
    driver.get(link)
    until(driver, "#statement", "estimate sentiment")
    driver.find_element(By.ID, "name").send_keys(name)
    for box in driver.find_elements(By.NAME, "share"):
        if box.is_selected() != (box.get_attribute("value") in shared):
            box.send_keys(Keys.SPACE)
    driver.find_element(By.ID, "agreed").send_keys(Keys.SPACE)
    driver.find_element(By.ID, "name").send_keys(Keys.ENTER)


def join(driver: webdriver.Chrome, link: str, name: str, shared: set[str]) -> None:
    """Agree and join by keyboard."""
    agree(driver, link, name, shared)
    press(driver, "#ready button[type=submit]")
    until(driver, "#status", f"You are in, as {name}.")


def lose_the_network(driver: webdriver.Chrome) -> None:
    """Cut the tab off until it has tried to come back; then it may."""
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", network | {"offline": True})
    driver.execute_script(
        "const peer = window.peers.at(-1); peer.close();"
        "peer.dispatchEvent(new Event('connectionstatechange'));"
    )
    until(driver, "#status", "The connection is lost. Connecting again …")
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", network | {"offline": False})


def test_two_people_and_their_host_from_the_first_words_to_the_end(
    tmp_path: Path, driver: webdriver.Chrome, embedded_broker: str
) -> None:
    with started(
        *("room", "--json", "--session", "standup", "--session", "retro", "--port", "0"),
        *("--broker", embedded_broker, "--record", str(tmp_path / "recordings")),
    ) as room:
        link = links(room)
        ana = new_tab(driver)
        driver.get(link["Join link"])
        until(driver, "#recording", "This session is being recorded.")
        join(driver, link["Join link"], "Ana", {"text", "audio", "vision"})
        new_tab(driver)
        join(driver, link["Join link"], "Bo", {"text"})
        spoken: dict[str, str] = {}
        scored: dict[str, set[str]] = {}
        while len(scored) < 2 or not all(spoken.values()):
            record = json.loads(next_line(room))
            name = record["participant_id"]
            spoken[name] = f"{spoken.get(name, '')} {record['text']}".strip()
            if record["valence"] is not None:
                scored.setdefault(name, set()).update(record["evidence"])

        driver.refresh()
        until(driver, "#was", "You were here as Bo, and shared words.")
        press(driver, "#rejoin")
        until(driver, "#status", "You are in, as Bo.")
        press(driver, "#leave")
        until(driver, "#status", "You have left")
        ended_by(room, "Bo")

        driver.switch_to.window(ana)
        driver.find_element(By.CSS_SELECTOR, "#sharing [value=vision]").send_keys(Keys.SPACE)
        until(driver, "#status", "You share words and voice.")
        lose_the_network(driver)
        until(driver, "#status", "You are in, as Ana.")

        host = new_tab(driver)
        driver.get(link["Host's link"])
        until(driver, "#guests", "shares words and voice; has switched off face")
        until(driver, "#status", "The session is running. 1 person is in.")
        driver.get(link["Live page"])
        until(driver, "#cards", "Ana")
        until(driver, "#recording", "Being recorded")
        driver.get(link["Host's link"])
        press(driver, "#stop-recording")
        until(driver, "#recording", "Not being recorded.")
        assert driver.switch_to.active_element.get_attribute("id") == "record"
        driver.get(link["Live page"])
        until(driver, "#recording", "Not being recorded")
        driver.switch_to.window(ana)
        until(driver, "#recording", "This session is not being recorded now.")
        stop_ms = stopped_at(Recordings(tmp_path / "recordings"))
        while json.loads(next_line(room))["start_ms"] <= stop_ms:
            pass  # there are values that are not recorded
        driver.switch_to.window(host)
        driver.get(link["Host's link"])
        for _ in range(2):
            press(driver, "#stop")
        driver.switch_to.window(ana)
        until(driver, "#status", "The session has ended.")
        assert room.poll() is None  # the other room is open
        room.send_signal(signal.SIGINT)
        _, errors = room.communicate(timeout=60)
        assert room.returncode == 0, errors
        driver.switch_to.window(host)
    recordings = Recordings(tmp_path / "recordings")
    *_, other = recordings.records(recordings.find("retro"), Session)
    assert (other.state, other.participants) == ("ended", ())
    *_, recorded = recordings.records(recordings.find("standup"), Session)
    consents = {person.participant_id: person.consent for person in recorded.participants}
    assert recorded.state == "ended"
    assert {name: consent and consent.modalities for name, consent in consents.items()} == {
        "Ana": ("audio", "text", "vision"),
        "Bo": ("text",),
    }
    assert all(consent and consent.withdrawn_at for consent in consents.values())
    assert consents["Ana"] is not None
    assert [change.modalities for change in consents["Ana"].changes] == [("audio", "text")]
    recording = recordings.read(recorded.session_id)
    assert [times.end_ms for times in recorded.recorded_times or ()] == [stop_ms]
    valued = [each for each in recording.sentiments if each.text or each.valence is not None]
    words = [word for each in recording.sentiments if each.spoken for word in each.spoken.words]
    assert valued
    assert words
    assert max(each.end_ms for each in valued) <= stop_ms
    assert max(word.end_ms for word in words) <= stop_ms
    assert recording.summary.complete
    assert scored["Bo"] == {"text"}
    assert "audio" in scored["Ana"]


async def test_where_words_alone_are_used_the_page_never_asks_for_the_camera(
    driver: webdriver.Chrome,
) -> None:
    def attack(link: str) -> list[list[str]]:
        new_tab(driver)
        driver.get(link)
        until(driver, "#statement", "estimate sentiment")
        assert not driver.find_element(By.CSS_SELECTOR, "#agree [value=vision]").is_displayed()
        driver.execute_script(
            "for (const box of document.querySelectorAll('#agree input')) box.checked = true;"
        )
        driver.find_element(By.ID, "name").send_keys("Ana", Keys.ENTER)
        press(driver, "#ready button[type=submit]")
        until(driver, "#status", "You are in, as Ana.")
        asked: list[list[str]] = driver.execute_script("return window.asked")
        press(driver, "#leave")
        until(driver, "#status", "You have left")
        return asked

    async with open_room('session.modalities=["text"]') as room:
        room.capture.make_peer = None  # WebRTC
        assert await asyncio.to_thread(attack, room.links[0]) == [["audio"]]
        [person] = room.sessions()[-1].participants
        assert person.consent is not None
        assert person.consent.modalities == ("text",)


class Forgetful(WebRtcPeer):
    """A connection that the room can lose while the browser still has it."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.lost = asyncio.Event()

    async def run(self) -> None:
        await self.lost.wait()

    async def close(self) -> None:
        self.lost.set()


async def test_a_connection_that_the_room_alone_has_lost_comes_back_by_itself(
    driver: webdriver.Chrome,
) -> None:
    peers: list[Forgetful] = []

    def make_peer(inbox: Inbox) -> Forgetful:
        peers.append(Forgetful(inbox))
        return peers[-1]

    async with open_room("room.rejoin_s=60") as room:
        room.capture.make_peer = make_peer
        new_tab(driver)
        await asyncio.to_thread(join, driver, room.links[0], "Ana", {"audio"})
        peers[0].lost.set()
        await holds(lambda: len(peers) == 2)
        await asyncio.to_thread(until, driver, "#status", "You are in, as Ana.")
        assert [guest.name for guest in room.capture.guests] == ["Ana"]
        await asyncio.to_thread(press, driver, "#leave")
        for peer in peers:
            await WebRtcPeer.close(peer)
