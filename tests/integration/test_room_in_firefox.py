"""A person joins a room from Firefox, whose fake devices give a tone and a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firefox import firefox, program
from tests.unit.room.test_room_session import until
from tests.unit.room.test_whip_senders import on_the_wall_clock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_a_person_joins_shares_less_reloads_and_leaves(tmp_path: Path) -> None:
    binary = program()
    if binary is None:
        pytest.skip("optional: Firefox is not installed")
    async with (
        on_the_wall_clock("room.rejoin_s=60") as room,
        firefox(binary, tmp_path / "profile") as browser,
    ):
        await browser.open(room.links[0])
        await browser.until_text("#recording", "This session is being recorded.")
        await browser.until_text("#statement", "estimate sentiment")
        await browser.run("document.getElementById('name').value = 'Ana'")
        for box in ("[value=text]", "[value=audio]", "[value=vision]", "#agreed"):
            await browser.press(f"#agree {box}" if box[0] == "[" else box)
        await browser.press("#agree [type=submit]")
        await browser.press("#ready [type=submit]")
        await browser.until_text("#status", "You are in, as Ana.")
        inbox = room.capture._stays[0].inbox
        await until(lambda: min(inbox.ends_ns) > 0)  # sound and images come

        await browser.press("#sharing [value=vision]")
        await browser.until_text("#status", "You share words and voice.")
        await browser.press("#sharing [value=vision]")
        await browser.until_text("#status", "You share words, voice and face.")
        seen_ns = inbox.ends_ns[1]
        await until(lambda: inbox.ends_ns[1] > seen_ns)

        await browser.reload()
        await browser.until_text("#was", "You were here as Ana")
        await browser.press("#rejoin")
        await browser.until_text("#status", "You are in, as Ana.")
        seen_ns = inbox.ends_ns[1]
        await until(lambda: inbox.ends_ns[1] > seen_ns)
        room.capture.stop_recording()
        await browser.until_text("#recording", "This session is not being recorded now.")
        await browser.press("#leave")
        await browser.until_text("#status", "You have left")
        await until(lambda: room.capture.guests[0].withdrawn_at_ns)
    assert [guest.name for guest in room.capture.guests] == ["Ana"]
    assert any(window.audio for window in room.windows("Ana"))
