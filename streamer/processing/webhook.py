"""Alerts sent to an address of one's own: one signed request for each alert, in order.

What enters: alerts that the broker has. What leaves: HTTP requests. Each is tried again until it is
taken, refused, or too old. This module does not know stages and topics' partitions: the worker that
publishes an alert sends it, so no two workers send the same one.

`offer` never waits. The queue is bounded; when it is full, the oldest alert is dropped and counted.
`Webhook.run` is one task on the worker's loop. Neither the path of the address nor the secret is
ever logged.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from streamer import metrics
from streamer.config import WebhookConfig
from streamer.counted import counted
from streamer.errors import ConfigError
from streamer.kafka.topics import ALERTS
from streamer.processing.clock import Clock
from streamer.records import Alert

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
DRAIN_S = 5.0
"""How long the end of the worker waits for alerts that are not sent yet."""
TEMPORARY = frozenset({408, 425, 429})
"""Statuses that ask for another attempt, besides those from 500."""

Announce = Callable[[Alert], None]


class Webhook:
    """Sends alerts to one address.

    Attributes:
        counters: `sent`, `retried` (attempts), `refused`, `dropped`.
    """

    def __init__(self, settings: WebhookConfig, secret: bytes, clock: Clock) -> None:
        """Take the settings, whose `url` is set, and the secret's bytes; no I/O."""
        self.counters: Counter[str] = Counter()
        metrics.watch("webhook", self.counters)
        self._url = settings.url.get_secret_value()
        self._host = urlsplit(self._url).hostname
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._retry_for_s = settings.retry_for_s
        self._secret = secret
        self._clock = clock
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(settings.queue_alerts)

    def offer(self, alert: Alert) -> None:
        """Put an alert into the queue, in place of the oldest one if it is full."""
        if self._queue.full():
            self._queue.get_nowait()
            self._queue.task_done()
            if not self.counters["dropped"]:
                log.warning("The webhook at %s is too slow: the oldest alerts drop.", self._host)
            self.counters["dropped"] += 1
        self._queue.put_nowait(alert)

    async def run(self) -> None:
        """Send alerts until it is cancelled."""
        async with aiohttp.ClientSession(timeout=self._timeout) as client:
            while True:
                await self._deliver(client, await self._queue.get())
                self._queue.task_done()

    async def drained(self) -> None:
        """Wait until every alert is sent or given up."""
        await self._queue.join()

    @property
    def waiting(self) -> int:
        """How many alerts are in the queue."""
        return self._queue.qsize()

    async def _deliver(self, client: aiohttp.ClientSession, alert: Alert) -> None:
        """Try until the alert is taken or refused, or `retry_for_s` is over."""
        began_s, pause_s = self._clock.monotonic_s(), FIRST_PAUSE_S
        while True:
            why, again = await self._attempt(client, alert)
            if not why:
                self.counters["sent"] += 1
                return
            if not again:
                self.counters["refused"] += 1
                log.warning("The webhook at %s refused an alert: %s.", self._host, why)
                return
            if self._clock.monotonic_s() + pause_s - began_s > self._retry_for_s:
                self.counters["dropped"] += 1
                log.warning(
                    "The webhook at %s did not take an alert for %g s: %s; the alert is dropped.",
                    self._host,
                    self._retry_for_s,
                    why,
                )
                return
            self.counters["retried"] += 1
            log.info("The webhook at %s: %s; again in %g s.", self._host, why, pause_s)
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _attempt(self, client: aiohttp.ClientSession, alert: Alert) -> tuple[str, bool]:
        """Return why the alert was not taken, empty if it was, and whether to try again."""
        body = ALERTS.encode(alert).value
        headers = signed_headers(self._secret, alert.alert_id, self._clock.wall_ms() / 1000, body)
        try:
            async with client.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except TimeoutError:
            return f"no response within {self._timeout.total:g} s", True
        except (aiohttp.ClientError, OSError) as error:  # its text may contain the address
            return f"no connection ({type(error).__name__})", True
        if 200 <= status < 300:
            return "", False
        return f"status {status}", status in TEMPORARY or status >= 500


def signed_headers(secret: bytes, alert_id: str, now_s: float, body: bytes) -> dict[str, str]:
    """Return the headers of a request, as https://www.standardwebhooks.com describes them.

    The signature is the HMAC-SHA-256 of id, time and body. The id is the same at every attempt.
    """
    message_id = "msg_" + hashlib.sha256(alert_id.encode()).hexdigest()[:32]
    at = str(int(now_s))
    signed = f"{message_id}.{at}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def read_secret(settings: WebhookConfig) -> bytes:
    """Return the secret of the settings, or of the file that they name.

    Raises:
        ConfigError: the file cannot be read, or its secret is too short.
    """
    if not settings.secret_file:
        return settings.secret.get_secret_value().encode()
    path = Path(settings.secret_file).expanduser()
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"The secret of the webhook cannot be read from {path} ({error.strerror}); "
            "set alerts.webhook.secret_file."
        ) from None
    if len(secret) < settings.SHORTEST_SECRET:
        raise ConfigError(
            f"The secret in {path} has {len(secret)} bytes; give at least "
            f"{settings.SHORTEST_SECRET}, as `openssl rand -hex 32` prints them."
        )
    return secret


@asynccontextmanager
async def announcing(settings: WebhookConfig) -> AsyncIterator[Announce]:
    """Send what the yielded function is given, if the settings have an address.

    The end waits DRAIN_S for what is not sent yet.

    Raises:
        ConfigError: the secret cannot be read.
    """
    if not settings.url.get_secret_value():
        yield lambda _: None
        return
    webhook = Webhook(settings, read_secret(settings), Clock())
    sending = asyncio.create_task(webhook.run())
    try:
        yield webhook.offer
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await webhook.drained()
    finally:
        if webhook.waiting:
            log.warning("Not sent to the webhook: %s.", counted(webhook.waiting, "alert"))
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
