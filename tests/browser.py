"""The live page in a headless Chromium: a server over a made feed, and what a person sees."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from streamer import dashboard
from streamer.config import Config
from streamer.dashboard.feed import Feed, Shown
from streamer.dashboard.history import Recorded
from streamer.notices import Notices
from streamer.recording.reader import Recordings

PATIENCE_S = 30
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--window-size=1280,1000",
)


class Served:
    """A page over a feed (or over a broker's topics) on an event loop of its own thread."""

    def __init__(
        self, config: Config | None = None, port: int = 0, recordings: Path | None = None
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._config = config
        self.notices = Notices()
        self._history = Recorded(Recordings(recordings)) if recordings else None
        self.feed = self._call(self._make_feed())
        self._page: Any = None
        self.start(port)

    async def _make_feed(self) -> Feed:
        feed = Feed("broker.example:9092", notices=self.notices)
        feed.state = "up"
        return feed

    def start(self, port: int = 0, feed: Feed | None = None) -> None:
        self.feed = feed or self.feed
        context: Any = (
            dashboard.showing(self._config, port=port)
            if self._config
            else dashboard.Page(self.feed, port=port, history=self._history)
        )
        self._context = context
        self._page = self._call(context.__aenter__())
        self.url = self._page.url()

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def add(self, *records: Shown, timestamp_ms: int | None = None) -> None:
        now_ms = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
        self.do(lambda: [self.feed.add(record, now_ms) for record in records])

    def state(self, state: str) -> None:
        self.do(lambda: setattr(self.feed, "state", state))

    def do(self, work: Callable[[], Any]) -> Any:
        async def on_loop() -> Any:
            return work()

        return self._call(on_loop())

    def new_feed(self) -> Feed:
        feed: Feed = self._call(self._make_feed())
        return feed

    def stop(self) -> None:
        self._call(self._context.__aexit__(None, None, None))

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


class Browser:
    """What a person does and sees."""

    def __init__(self, driver: webdriver.Chrome, folder: Path) -> None:
        self.driver = driver
        self._folder = folder

    def open(self, url: str) -> None:
        self.driver.get(url)

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Show the page on a screen of so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, scheme: str) -> None:
        """Prefer `light` or `dark` colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def as_it_began(self) -> None:
        """Undo `size` and `scheme`."""
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def settle(self) -> None:
        """Wait until two frames are drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def shot(self, name: str) -> None:
        self.driver.save_screenshot(str(self._folder / f"{name}.png"))

    def text(self, selector: str) -> str:
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def card(self, name: str) -> str:
        return f'.card[data-name="{name}"]'

    def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        return WebDriverWait(self.driver, PATIENCE_S, 0.1, ignored_exceptions=[Exception]).until(
            lambda _: condition(), what
        )

    def until_text(self, selector: str, text: str) -> None:
        self.until(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def seen(self, name: str, seconds: int) -> list[tuple[int, float | None]]:
        """Move the slider over every second; return which window is shown, with its valence."""
        seen = self.driver.execute_async_script(
            """
            const [selector, seconds, done] = arguments;
            const scrub = document.getElementById("scrub"), seen = [];
            (async () => {
              for (let s = 1; s <= seconds; s += 1) {
                scrub.value = s;
                scrub.dispatchEvent(new Event("input"));
                await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
                const { window, valence } = document.querySelector(selector).dataset;
                seen.push([window, valence]);
              }
              done(seen);
            })();
            """,
            f"{self.card(name)} .value",
            seconds,
        )
        return [(int(window), float(valence) if valence else None) for window, valence in seen]

    def windows_seen(self, name: str, seconds: int) -> list[int]:
        """Move the slider over every second; return which window is shown."""
        return [window for window, _ in self.seen(name, seconds)]

    def _log(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return entries

    def attribute(self, selector: str, name: str) -> str:
        value = self.driver.find_element(By.CSS_SELECTOR, selector).get_attribute(name)
        assert value is not None
        return value

    def complaints(self) -> list[str]:
        """Errors in the console, refused addresses of a server that is away aside."""
        return [
            entry["message"]
            for entry in self._log()
            if entry["level"] == "SEVERE" and "ERR_CONNECTION_REFUSED" not in entry["message"]
        ]


def is_there() -> bool:
    """Return whether this machine has a Chromium that tests can drive."""
    return None not in map(shutil.which, ("chromium", "chromedriver"))


@contextlib.contextmanager
def chromium(folder: Path, *flags: str) -> Iterator[Browser]:
    """Start a Chromium with more flags; its screenshots are written to `folder`."""
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        driver.set_script_timeout(PATIENCE_S)
        try:
            yield Browser(driver, folder)
        finally:
            driver.quit()
