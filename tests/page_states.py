"""Pictures of every state of the page, to look at, drawn by a headless Chromium.

    python -m tests.page_states FOLDER [STATE …]

writes a picture of each state, or of those named, as `FOLDER/STATE.png`.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from streamer.recording.export import export
from streamer.records import Participant
from streamer.session_ids import make_id
from tests import made_meeting
from tests.browser import Browser, Served, chromium
from tests.made_records import START, recorded, session, session_sentiment, write
from tests.made_scenes import MOODS, alerts, meeting

Draw = Callable[[Browser, Served], None]

TWO = ("Ana", "Bo")
SIX = ("Ana", "Bo", "Chiara", "Dan", "Émile", "Grace")
TEN = tuple(MOODS)
OF_OPPOSITE_MOOD = {"Ana": (1.2, 2.0), "Bo": (-0.2, -2.1)}
STAGES = {
    "capture": {"windows_per_s": 2.0},
    "inference": {"waiting": 0, "workers": 1},
    "smoothing": {"waiting": 0, "workers": 1},
}


def laptop(browser: Browser) -> None:
    browser.scheme("light")
    browser.size(1280, 720)


def phone(browser: Browser) -> None:
    browser.scheme("light")
    browser.size(390, 844, mobile=True)


def dark(browser: Browser) -> None:
    browser.scheme("dark")
    browser.size(1280, 720)


def shows(people: tuple[str, ...], *, with_alerts: bool = False) -> Draw:
    """Return what draws a meeting of these people while it goes on."""

    def draw(browser: Browser, served: Served) -> None:
        served.add(*meeting(people))
        if with_alerts:
            served.add(*alerts())
        open_session(browser, served)

    return draw


def open_session(browser: Browser, served: Served) -> None:
    browser.open(served.url + "?session=standup")
    browser.until_text("#cards", "Ana")
    if served.feed.state == "up":
        browser.until_text("#link", "Connected")
    browser.settle()


def empty(browser: Browser, served: Served) -> None:
    browser.open(served.url)
    browser.until_text("#banner", "No session yet")


def starting(browser: Browser, served: Served) -> None:
    served.do(lambda: setattr(served.feed, "stages", STAGES))
    served.add(session())
    browser.open(served.url + "?session=standup")
    browser.until_text("#banner", "standup")
    browser.settle()


def divided(browser: Browser, served: Served) -> None:
    served.add(*meeting(TWO, OF_OPPOSITE_MOOD))
    open_session(browser, served)


def missing_worker(browser: Browser, served: Served) -> None:
    waiting = {**STAGES, "inference": {"waiting": 12, "workers": 0}}
    served.do(lambda: setattr(served.feed, "stages", waiting))
    shows(TWO)(browser, served)
    browser.until_text("#banner", "inference")


def broker_away(browser: Browser, served: Served) -> None:
    shows(TWO)(browser, served)
    served.state("down")
    browser.until_text("#banner", "has not answered")


def ended(browser: Browser, served: Served) -> None:
    shows(TWO)(browser, served)
    served.add(session("ended", participants=tuple(Participant(who, ("mic:0",)) for who in TWO)))
    browser.until_text("#facts", "ended")


def detailed(browser: Browser, served: Served) -> None:
    shows(SIX, with_alerts=True)(browser, served)
    browser.run("document.getElementById('detailed')?.click()")
    browser.settle()


def sessions(browser: Browser, served: Served) -> None:
    for day in range(4):
        for name in ("retro", "planning"):
            own = make_id(name, START, 9 * day + len(name))
            served.add(session(session_id=own))
            served.add(
                *(session_sentiment(k, math.sin(day + k / 20), session_id=own) for k in range(90))
            )
            if day < 3:
                served.add(session("ended", session_id=own))
    browser.open(served.url + "?all")
    browser.until_text("#rows", "retro")
    browser.settle()


def past(browser: Browser, served: Served) -> None:
    served.state("none")
    browser.open(served.url + "?session=standup")
    browser.until_text("#alerts", "hardly speaks")
    browser.settle()


def report(browser: Browser, served: Served) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_bytes(export(recorded(Path(folder) / "kept", *made_meeting.records()), "html"))
        browser.open(page.as_uri())
        browser.settle()


STATES: Mapping[str, tuple[Callable[[Browser], None], Draw]] = {
    "empty": (laptop, empty),
    "starting": (laptop, starting),
    "two": (laptop, shows(TWO)),
    "dashboard": (laptop, shows(SIX, with_alerts=True)),
    "ten": (laptop, shows(TEN)),
    "ten-alerts": (laptop, shows(TEN, with_alerts=True)),
    "divided": (laptop, divided),
    "detailed": (laptop, detailed),
    "missing-worker": (laptop, missing_worker),
    "broker-away": (laptop, broker_away),
    "ended": (laptop, ended),
    "list": (laptop, sessions),
    "past": (laptop, past),
    "report": (laptop, report),
    "ten-dark": (dark, shows(TEN, with_alerts=True)),
    "divided-dark": (dark, divided),
    "past-dark": (dark, past),
    "ten-phone": (phone, shows(TEN, with_alerts=True)),
    "two-phone": (phone, shows(TWO)),
    "empty-phone": (phone, empty),
    "list-phone": (phone, sessions),
    "past-phone": (phone, past),
    "report-phone": (phone, report),
}


def draw(folder: Path, names: tuple[str, ...]) -> None:
    """Write the pictures of some states to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium(folder) as browser, tempfile.TemporaryDirectory() as kept:
        write(Path(kept), *made_meeting.records())
        for name in names:
            on, state = STATES[name]
            served = Served(recordings=Path(kept) if state is past else None)
            on(browser)
            try:
                state(browser, served)
                browser.shot(name)
            finally:
                served.close()
            print(folder / f"{name}.png")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), tuple(sys.argv[2:]) or tuple(STATES))
