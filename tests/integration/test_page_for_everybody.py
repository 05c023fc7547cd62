"""The pages for everybody: in dark colours, on a phone, by keyboard, with assistive technology.

axe-core searches every page in every view: the live page, a past session, the list, the report, and
the pages of a room. It also measures contrast.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from streamer import metrics
from streamer.recording.export import export
from streamer.session_ids import make_id
from tests import made_meeting
from tests.axe import violations
from tests.browser import Browser, Served
from tests.made_records import (
    START,
    alert,
    of_two,
    recorded,
    sentiment,
    session,
    session_sentiment,
    write,
)
from tests.unit.room.test_room_session import open_room

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(params=["light", "dark", "light-phone", "dark-phone"])
def viewer(browser: Browser, request: pytest.FixtureRequest) -> Browser:
    """A browser that prefers a colour scheme, as wide as a laptop or a phone."""
    scheme, _, phone = request.param.partition("-")
    browser.scheme(scheme)
    if phone:
        browser.size(390, 844, mobile=True)
    return browser


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Served]:
    """A page over a recording, without a broker."""
    write(tmp_path, *made_meeting.records())
    server = Served(recordings=tmp_path)
    server.state("none")
    yield server
    server.close()


def test_dark_and_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Browser, served: Served
) -> None:
    served.add(session(), *(record for index in range(90) for record in of_two(index)), alert(61))
    browser.scheme("dark")
    browser.size(375, 800, mobile=True)
    browser.open(served.url + "?session=standup")
    browser.until_text(f"{browser.card('ana')} .label", "weakly negative")
    browser.shot("phone-dark")
    assert browser.run("return document.documentElement.scrollWidth") <= 375
    assert (
        browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"
    )


CONTRASTS = """
const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const channel = (c) => linear(c / 255);
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("body *:not(script)")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || element.disabled || !element.getClientRects().length) continue;
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.push(`${element.className || element.tagName}: ${ratio.toFixed(2)}`);
}
return poor;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(browser: Browser, served: Served, scheme: str) -> None:
    """Contrast of at least 4.5 (WCAG 2.2 AA) in every colour that text takes."""
    for name, valence in (("a", -2.0), ("b", 0.0), ("c", 2.0), ("d", None)):
        served.add(sentiment(0, valence, participant_id=name))
    served.add(alert(0), alert(0, state="cleared"), session_sentiment(0))
    served.state("down")
    browser.scheme(scheme)
    for page in ("?all", "?session=standup"):
        browser.open(served.url + page)
        browser.until_text("#banner", "has not answered")
        show_everything(browser)
        browser.until_text("#health", "away")
        assert browser.run(CONTRASTS) == []


def test_axe_finds_nothing_wrong_with_the_live_page(viewer: Browser, served: Served) -> None:
    for day in range(2):
        own = make_id("retro", START, day)
        served.add(session("ended", session_id=own), session_sentiment(day, session_id=own))
    served.add(*made_meeting.records())
    served.notices.give("ana: the sound is very soft.")
    viewer.open(served.url + "?all")
    viewer.until_text("#trends", "retro")
    viewer.until_text("#notices", "very soft")
    assert violations(viewer.driver) == []
    viewer.open(served.url + "?session=standup")
    viewer.until_text("#alerts", "hardly speaks")
    show_everything(viewer)
    viewer.until_text(f"{viewer.card('cy')} .talk", "of all")
    assert violations(viewer.driver) == []
    viewer.open(served.url + "?session=planning")
    viewer.until_text("#steps", "planning has not begun")
    assert violations(viewer.driver) == []
    served.state("down")
    viewer.until_text("#banner", "has not answered")
    assert violations(viewer.driver) == []


def show_everything(browser: Browser) -> None:
    """Open the details of everybody and the health of the stages."""
    browser.run("document.getElementById('detailed').click()")
    browser.run("document.getElementById('stages').open = true")


def test_axe_finds_nothing_wrong_with_a_past_session(viewer: Browser, past: Served) -> None:
    viewer.open(past.url + "?all")
    viewer.until_text("#rows", "recorded")
    assert violations(viewer.driver) == []
    viewer.open(past.url + "?session=standup")
    viewer.until_text("#alerts", "hardly speaks")
    show_everything(viewer)
    viewer.until_text("#play", "Play")
    viewer.driver.find_element(By.ID, "find").send_keys("import")
    viewer.until_text("#found", "of")
    assert violations(viewer.driver) == []
    viewer.open(past.url + "?session=typo")
    viewer.until_text("#banner", "No session typo is recorded here.")
    assert violations(viewer.driver) == []


def test_axe_finds_nothing_wrong_with_a_report(viewer: Browser, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_bytes(export(recorded(tmp_path / "kept", *made_meeting.records()), "html"))
    viewer.open(report.as_uri())
    assert violations(viewer.driver) == []


async def test_axe_finds_nothing_wrong_with_the_pages_of_a_room(viewer: Browser) -> None:
    def look(link: str, shown: str) -> None:
        viewer.open(link)
        viewer.until_text("main", shown)
        assert violations(viewer.driver) == []

    async with open_room() as room:
        await asyncio.to_thread(look, room.links[0], "estimate sentiment")
        await asyncio.to_thread(look, room.host_links[0], "What people agree to")
        room.capture.stop_recording()
        metrics.PROCESS.problem("recording", "The disk is full.")
        try:
            await asyncio.to_thread(look, room.host_links[0], "The disk is full.")
        finally:
            metrics.PROCESS.problem("recording", "")


def test_axe_finds_what_is_wrong(browser: Browser, served: Served) -> None:
    browser.open(served.url)
    browser.until_text("#banner", "No session yet")
    browser.run("document.documentElement.removeAttribute('lang')")
    (found,) = violations(browser.driver)
    assert found.startswith("html-has-lang")


def test_the_report_of_three_minutes_is_two_printed_pages_and_as_wide_as_a_phone(
    browser: Browser, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    report.write_bytes(export(recorded(tmp_path / "kept", *made_meeting.records()), "html"))
    browser.open(report.as_uri())
    for inches in (
        {"paperWidth": 8.27, "paperHeight": 11.69},
        {"paperWidth": 8.5, "paperHeight": 11},
    ):
        pdf = browser.driver.execute_cdp_cmd("Page.printToPDF", inches)["data"]
        assert len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(pdf))) == 2
    browser.size(375, 800, mobile=True)
    assert browser.run("return document.documentElement.scrollWidth") <= 375
    browser.shot("report-phone")


def test_the_keyboard_reaches_everything(browser: Browser, served: Served) -> None:
    served.add(*(record for index in range(30) for record in of_two(index)), alert(3))
    browser.open(served.url + "?session=standup")
    browser.until_text("#alerts", "ana fell")
    reached = []
    for _ in range(8):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.driver.switch_to.active_element
        reached.append(focused.get_attribute("id") or focused.text)
    texts = [name.partition(" fell")[0] for name in reached if name != "notify"]  # where allowed
    assert texts[:7] == [
        "Skip to the content",
        "All sessions",
        "The meeting as a whole",
        "alerts",
        "0:04 ana",
        "ana",
        "bo",
    ]
    browser.driver.find_element(By.ID, "scrub").send_keys(Keys.ARROW_LEFT)
    browser.until_text(f"{browser.card('ana')} .words", "window 28")
    for chart in browser.driver.find_elements(By.CSS_SELECTOR, ".chart"):
        assert (chart.get_attribute("aria-label") or "").startswith("Valence of")


@pytest.mark.parametrize(
    ("people", "width", "height", "mobile"),
    [(10, 1366, 768, False), (10, 1280, 720, False), (9, 1280, 720, False), (10, 390, 844, True)],
)
def test_ten_people_are_on_one_screen(
    browser: Browser, served: Served, people: int, width: int, height: int, mobile: bool
) -> None:
    served.add(session(), session_sentiment(0), alert(0, participant_id="person 3"))
    served.add(
        *(
            sentiment(0, -1.5 if number == 3 else 0.5, participant_id=f"person {number}")
            for number in range(people)
        )
    )
    browser.size(width, height, mobile=mobile)
    browser.open(served.url + "?session=standup")
    browser.until_text("#alerts", "person 3")
    browser.until_text(f"{browser.card(f'person {people - 1}')} .now", "weakly positive")
    lowest = "Math.max(...[...document.querySelectorAll('.card')].map(bottom))"
    free = (
        "innerHeight"
        if mobile
        else "document.querySelector('.toolbar').getBoundingClientRect().top"
    )
    browser.until(
        lambda: browser.run(
            "const bottom = (card) => card.getBoundingClientRect().bottom;"
            f"return {lowest} <= {free}"
        ),
        "all tiles above the toolbar",
    )
    # what one second tells: the largest word is the mood, and one tile is not like the others
    sizes = "return [...document.querySelectorAll('body *')].filter((one) => one.innerText)"
    sizes += ".map((one) => parseFloat(getComputedStyle(one).fontSize))"
    mood = "return parseFloat(getComputedStyle(document.querySelector('.meeting .now')).fontSize)"
    assert browser.run(mood) == max(browser.run(sizes)) >= 1.5 * 16
    assert browser.text(".meeting .out") == "▼ person 3 stands out"
    grounds = "return [...document.querySelectorAll('#cards .card')]"
    grounds += ".map((card) => getComputedStyle(card).backgroundColor)"
    colours = browser.run(grounds)
    assert [colours.count(colour) for colour in colours].count(1) == 1
    assert colours.count(colours[3]) == 1
    too_wide = "return [...document.querySelectorAll('#cards .now')]"
    too_wide += ".filter((word) => word.scrollWidth > word.clientWidth).length"
    assert browser.run(too_wide) == 0
