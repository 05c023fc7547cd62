"""A headless Firefox with a fake camera and microphone, over its own WebDriver BiDi."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

PATIENCE_S = 60
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
}


def program() -> str | None:
    """Where Firefox is; None where it is not installed."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One tab of a browser; what a person does and sees in it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._tab = ""

    async def begin(self) -> None:
        await self._call("session.new", capabilities={})
        tree = await self._call("browsingContext.getTree")
        self._tab = tree["contexts"][0]["context"]

    async def open(self, url: str) -> None:
        await self._call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def reload(self) -> None:
        await self._call("browsingContext.reload", context=self._tab, wait="complete")

    async def run(self, script: str) -> Any:
        """The value of an expression on the page."""
        answer = await self._call(
            "script.evaluate",
            expression=script,
            target={"context": self._tab},
            awaitPromise=True,
            userActivation=True,
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    async def press(self, selector: str) -> None:
        """Press what is shown, as soon as it is."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self._until(f"{found}?.checkVisibility() ?? false", lambda shown: shown, selector)
        await self.run(f"{found}.click()")

    async def until_text(self, selector: str, text: str) -> None:
        found = f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"
        await self._until(found, lambda shown: text in shown, f"{text!r} in {selector}")

    async def _until(self, script: str, holds: Any, what: str) -> None:
        value = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(value := await self.run(script)):
                    await _a_moment()
        except TimeoutError:
            raise AssertionError(f"{what} is not there, but {value!r}") from None

    async def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await self._socket.receive_json()).get("id") != number:
                pass  # an event
        assert answer["type"] == "success", answer
        return answer["result"]


@contextlib.asynccontextmanager
async def firefox(binary: str, profile: Path) -> AsyncIterator[Firefox]:
    """Start a Firefox with a profile of its own; end it."""
    _make(profile)
    process = await asyncio.create_subprocess_exec(
        *(binary, "--headless", "--no-remote", "--profile", str(profile)),
        *("--remote-debugging-port", "0", "about:blank"),
        env={**os.environ, "HOME": str(profile)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    reading: asyncio.Task[bytes] | None = None
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            address = None
            while address is None:
                line = (await process.stderr.readline()).decode(errors="replace")
                assert line, "Firefox has ended"
                address = re.search(r"BiDi listening on (ws://\S+)", line)
        reading = asyncio.create_task(process.stderr.read())
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"{address[1]}/session", max_msg_size=0) as socket,
        ):
            browser = Firefox(socket)
            await browser.begin()
            yield browser
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
        if reading is not None:
            await reading


def _make(profile: Path) -> None:
    profile.mkdir()
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines), "utf-8")


async def _a_moment() -> None:
    await asyncio.sleep(0.1)
