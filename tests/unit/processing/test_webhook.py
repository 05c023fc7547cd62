"""The webhook, against a real HTTP server: signed, tried again, bounded, and discreet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from streamer.config import WebhookConfig, build
from streamer.errors import ConfigError
from streamer.policy import Policy
from streamer.processing.faust_app import Evicted
from streamer.processing.webhook import Webhook, announcing, read_secret
from streamer.records import Alert
from tests import made_records as made
from tests.stage_bench import Bench, ManualClock, eventually, wire

SECRET = "a-secret-of-some-length"
DOCUMENT = Path(__file__).parents[3] / "docs" / "operating.md"


class Receiver:
    """A server that answers with the given statuses, then with 204; 0 breaks the connection."""

    def __init__(self, statuses: Iterable[int]) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status, headers={"Location": self.url})

    def alerts(self) -> list[Alert]:
        return [msgspec.json.decode(body, type=Alert) for _, body in self.requests]


@contextlib.asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(statuses)
    app = web.Application()
    app.router.add_post("/hook/hunter2", receiver.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook/hunter2"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def settings(url: str = "http://127.0.0.1:1/hook/hunter2", **others: object) -> WebhookConfig:
    return WebhookConfig.model_validate({"url": url, "secret": SECRET} | others)


@contextlib.asynccontextmanager
async def sending(chosen: WebhookConfig, clock: ManualClock) -> AsyncIterator[Webhook]:
    webhook = Webhook(chosen, read_secret(chosen), clock)
    task = asyncio.create_task(webhook.run())
    try:
        yield webhook
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


Check = Callable[[bytes, dict[str, str], bytes, float], bool]


def documented_check() -> Check:
    """The receiver's function in docs/operating.md."""
    [code] = re.findall(r"```python\n(.*?webhook-signature.*?)```", DOCUMENT.read_text(), re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    check: Check = names["is_genuine"]
    return check


async def test_a_receiver_that_fails_first_gets_the_alert_once_it_works_signed() -> None:
    clock = ManualClock()
    async with receiving(500, 0, 429) as receiver, sending(settings(receiver.url), clock) as hook:
        hook.offer(made.alert(7))
        await hook.drained()
    is_genuine = documented_check()

    assert hook.counters == {"sent": 1, "retried": 3}
    assert receiver.alerts() == [made.alert(7)] * 4
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    stamps = [int(headers["webhook-timestamp"]) for headers, _ in receiver.requests]
    assert [later - stamps[0] for later in stamps] == [0, 1, 3, 7], "pauses of 1, 2 and 4 s"
    for (headers, body), now_s in zip(receiver.requests, stamps, strict=True):
        assert is_genuine(SECRET.encode(), headers, body, now_s)
        assert not is_genuine(b"another", headers, body, now_s)
        assert not is_genuine(SECRET.encode(), headers, body + b" ", now_s)
        assert not is_genuine(SECRET.encode(), headers, body, now_s + 301), "too old"
        later = headers | {"webhook-timestamp": str(now_s + 301)}
        assert not is_genuine(SECRET.encode(), later, body, now_s + 301), "the time is signed too"


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410])
async def test_a_refused_alert_is_not_sent_again_nor_anywhere_else(status: int) -> None:
    async with receiving(status) as receiver:
        async with sending(settings(receiver.url), ManualClock()) as hook:
            hook.offer(made.alert(7))
            hook.offer(made.alert(8))
            await hook.drained()

    assert hook.counters == {"refused": 1, "sent": 1}
    assert [alert.end_ms for alert in receiver.alerts()] == [8_000, 9_000]


async def test_an_alert_that_nobody_takes_is_dropped_in_the_end() -> None:
    clock = ManualClock()
    began_s = clock.now_s
    async with sending(settings(retry_for_s=100), clock) as hook:
        hook.offer(made.alert(7))
        await hook.drained()

    assert hook.counters["dropped"] == 1
    assert clock.now_s - began_s == 1 + 2 + 4 + 8 + 16 + 32


async def test_a_full_queue_drops_the_oldest_and_never_waits() -> None:
    async with receiving() as receiver:
        hook = Webhook(settings(receiver.url, queue_alerts=2), b"x", ManualClock())
        for index in (1, 2, 3, 4):
            hook.offer(made.alert(index))  # nobody sends yet
        sender = asyncio.create_task(hook.run())
        await hook.drained()
        sender.cancel()

    assert [alert.end_ms for alert in receiver.alerts()] == [4_000, 5_000]
    assert hook.counters == {"dropped": 2, "sent": 2}


async def test_neither_the_path_of_the_address_nor_the_secret_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving(500, 0, 400) as receiver:
        async with sending(settings(receiver.url), ManualClock()) as hook:
            hook.offer(made.alert(7))
            await hook.drained()
        async with sending(settings(retry_for_s=1), ManualClock()) as hook:
            hook.offer(made.alert(7))
            await hook.drained()

    assert "refused an alert: status 400" in caplog.text
    assert "hunter2" not in caplog.text and SECRET not in caplog.text
    assert "hunter2" not in repr(settings()) and SECRET not in repr(settings())


async def test_the_end_waits_for_what_is_not_sent_yet() -> None:
    async with receiving() as receiver:
        async with announcing(settings(receiver.url)) as announce:
            announce(made.alert(7))
    assert len(receiver.requests) == 1


async def test_without_an_address_nothing_is_sent() -> None:
    async with announcing(WebhookConfig()) as announce:
        announce(made.alert(7))


async def test_a_stage_announces_an_alert_when_its_state_is_stored_and_only_then() -> None:
    bench = Bench(alerts={"negative_for_s": 1})
    announced: list[Alert] = []
    bench.stage._announce = announced.append
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 1)))
    assert [alert.kind for alert in announced] == ["sustained_negative"]
    assert bench.journal.of("committable") == [(0,), (1,)]

    async with bench.working():
        await bench.feed(bench.event(wire(1)[0]))  # a duplicate
    assert len(announced) == 1


async def test_a_stage_that_stood_still_announces_nothing() -> None:
    bench = Bench(alerts={"negative_for_s": 1})
    announced: list[Alert] = []
    bench.stage._announce = announced.append
    await bench.table.recovered()
    await bench.feed(*map(bench.event, wire(0, 1)))
    bench.app.evict()
    with pytest.raises(Evicted):
        await bench.stage.commit_loop()
    assert announced == [], "another worker publishes the alert and sends it"


async def test_an_alert_that_waited_for_a_missing_window_is_announced() -> None:
    bench = Bench(alerts={"negative_for_s": 2})
    announced: list[Alert] = []
    bench.stage._announce = announced.append
    async with bench.working(maintained=True):
        await bench.feed(*map(bench.event, wire(0, 2)))
        await eventually(lambda: bench.stage.counters["flushed"] > 0)
        await eventually(lambda: bool(announced))


async def test_no_alert_of_a_person_leaves_a_session_that_publishes_none() -> None:
    bench = Bench(alerts={"negative_for_s": 1})
    bench.policies.default = Policy("session", 2, ("audio", "text", "vision"))
    announced: list[Alert] = []
    bench.stage._announce = announced.append
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 1)))
    assert announced == []


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    chosen = settings(secret="", secret_file=str(file))
    with pytest.raises(ConfigError, match=r"cannot be read from .*secret_file"):
        read_secret(chosen)
    file.write_text("short\n")
    with pytest.raises(ConfigError, match="has 5 bytes; give at least 16"):
        read_secret(chosen)
    file.write_text(SECRET + "\n")
    assert read_secret(chosen) == SECRET.encode()


def test_the_settings_of_the_documents_are_valid() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    configs = [build(tomllib.loads(block)) for block in blocks]

    assert any(config.alerts.rules for config in configs)
    assert any(config.alerts.webhook.url.get_secret_value() for config in configs)
