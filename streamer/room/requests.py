"""What the room's requests have in common: the secret they show, their body, the answer as JSON."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from streamer.room.people import Refused

T = TypeVar("T")


def bearer(request: web.Request) -> str:
    """Return the token or ticket of a request; empty without one."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def check_token(request: web.Request, token: str, otherwise: str) -> None:
    """Refuse a request without the token, with the sentence `otherwise`."""
    shown = bearer(request).encode("utf-8", "replace")
    if not hmac.compare_digest(shown, token.encode()):
        raise Refused(401, otherwise)


async def body(request: web.Request, within_s: float) -> bytes:
    """Return the body of a request; raises Refused for one that is slow."""
    try:
        async with asyncio.timeout(within_s):
            return await request.read()
    except TimeoutError:
        raise Refused(408, "The request did not come in time.") from None


def decoded(data: bytes, kind: type[T]) -> T:
    """Return a body as its kind; raises Refused if it is of another."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused(400, "The request is not what the page sends.") from None


def as_json(value: dict[str, Any], status: int = 200) -> web.Response:
    """Return an answer that no cache keeps."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
