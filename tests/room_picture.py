"""README's image: two people in a room, each in a browser tab, and the live page.

    python -m tests.room_picture docs/room.png [--seconds 60]

opens a room, lets two Chromium join whose fake cameras and microphones play the demo's recordings,
and after so many seconds of session time puts one picture together from three screenshots. On a
machine that does nothing else: the stages and three browsers run in real time.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from selenium.webdriver.common.by import By

from streamer.demo import meeting
from tests.browser import Browser, chromium
from tests.integration.test_live import started
from tests.integration.test_room import links, sound_of

CAMERA_HZ, CAMERA_SIZE = 10, (320, 240)
TAB, PAGE = (291, 303), (961, 627)
"""Width and height of a person's tab and of the live page, pixels."""
MARGIN = 12
BROWSER_BAR = "--hide-scrollbars"
LONGEST_S = 600


def picture_of(recording: Path, path: Path) -> Path:
    """Write the pictures of a recording as Y4M, which Chromium's fake camera plays."""
    width, height = CAMERA_SIZE
    next_s = 0.0
    with av.open(str(recording)) as container, path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{width} H{height} F{CAMERA_HZ}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= next_s:
                next_s += 1 / CAMERA_HZ
                planes = frame.reformat(width, height, "yuv420p").to_ndarray()
                out.write(b"FRAME\n" + planes.tobytes())
    return path


def devices_of(recording: Path, folder: Path) -> list[str]:
    """The flags with which a Chromium plays a recording as its camera and microphone."""
    sound = sound_of(recording, folder / f"{recording.stem}.wav")
    picture = picture_of(recording, folder / f"{recording.stem}.y4m")
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
        f"--use-file-for-fake-video-capture={picture}",
        BROWSER_BAR,
    ]


def join(browser: Browser, link: str, name: str) -> None:
    """Agree to share everything, and join."""
    browser.size(*TAB)
    browser.open(link)
    browser.until_text("#statement", "estimate sentiment")
    browser.driver.find_element(By.ID, "name").send_keys(name)
    for box in ("[value=text]", "[value=audio]", "[value=vision]", "#agreed"):
        browser.run(f"document.querySelector('{box}').click()")
    browser.run("document.querySelector('#agree [type=submit]').click()")
    browser.until(lambda: browser.driver.find_element(By.ID, "ready").is_displayed())
    browser.run("document.querySelector('#ready [type=submit]').click()")
    browser.until_text("#status", f"You are in, as {name}.")
    browser.run("document.querySelector('main').style.cssText = 'margin: 0; max-width: none'")
    browser.run("scrollTo(0, 0)")


def put_together(shots: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Two tabs, one above the other, and the live page beside them, each with an edge."""
    width = 3 * MARGIN + TAB[0] + PAGE[0]
    whole = np.full((2 * MARGIN + PAGE[1], width, 3), 255, np.uint8)
    for name, left, top in (
        ("ana", MARGIN, MARGIN),
        ("bo", MARGIN, MARGIN + PAGE[1] - TAB[1]),
        ("page", 2 * MARGIN + TAB[0], MARGIN),
    ):
        shot: Any = shots[name]
        height, wide = shot.shape[:2]
        whole[top : top + height, left : left + wide] = shot
        cv2.rectangle(whole, (left - 1, top - 1), (left + wide, top + height), (160, 150, 140), 1)
    return whole


def drain(stream: Any) -> None:
    """Read on what nobody reads, so that the room does not wait."""
    threading.Thread(target=stream.read, daemon=True).start()


def draw(path: Path, seconds: int) -> None:
    """Draw the image at so many seconds of session time."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        recordings = meeting()
        devices = {name: devices_of(recordings[name], folder) for name in ("ana", "bo")}
        room = stack.enter_context(
            started("room", "--session", "standup", "--port", "0", "--json", "--no-qr")
        )
        link = links(room)
        drain(room.stdout)
        drain(room.stderr)
        browsers = {
            name: stack.enter_context(chromium(folder, *flags)) for name, flags in devices.items()
        }
        page = stack.enter_context(chromium(folder, BROWSER_BAR))
        page.size(*PAGE)
        for name, browser in browsers.items():
            join(browser, link["Join link"], name.capitalize())
        page.open(link["Live page"])
        page.until_text("#cards", "Bo")
        done = threading.Event()
        for _ in range(LONGEST_S):
            if int(page.attribute("#scrub", "max")) >= seconds:
                break
            done.wait(1)
        shots: dict[str, NDArray[np.uint8]] = {}
        for name, browser in (*browsers.items(), ("page", page)):
            browser.shot(name)
            shots[name] = np.asarray(cv2.imread(str(folder / f"{name}.png")), np.uint8)
        cv2.imwrite(str(path), put_together(shots), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    draw(options.path, options.seconds)


if __name__ == "__main__":
    main()
