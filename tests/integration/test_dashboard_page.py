"""The live page in a real headless Chromium.

Each test opens the page anew over a feed of its own; one browser serves them all. Every state is
also written as a screenshot, to look at, into `page-states` of pytest's temporary folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from streamer.config import build
from streamer.dashboard.feed import Shown
from streamer.kafka.embedded import EmbeddedBroker
from streamer.kafka.producer import Producer
from streamer.recording.writer import Writer
from streamer.records import Participant, Sentiment
from streamer.rounding import rounded
from streamer.session_ids import make_id
from tests import media
from tests.browser import Browser, Served
from tests.made_records import (
    START,
    alert,
    of_two,
    said,
    sentiment,
    session,
    session_sentiment,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_a_session_is_shown_with_the_numbers_of_its_records(
    browser: Browser, served: Served
) -> None:
    served.add(session(), *(record for index in range(90) for record in of_two(index)), alert(61))
    browser.open(served.url)  # one session: its page opens by itself
    browser.until_text("#title", "standup")
    browser.until_text(f"{browser.card('ana')} .words", "the words of window 89")
    last = sentiment(89, 1.5 * math.sin(89 / 15))
    shown = browser.driver.find_element(By.CSS_SELECTOR, f"{browser.card('ana')} .value")
    assert float(browser.attribute(f"{browser.card('ana')} .value", "data-valence")) == last.valence
    assert shown.text == f"{last.valence:+.2f}".replace("-", "−")
    assert not browser.driver.find_element(By.CSS_SELECTOR, ".card .details").is_displayed()
    browser.shot("session")
    browser.driver.find_element(By.ID, "detailed").click()
    browser.until_text(".card.meeting .tally", "2 negative")
    browser.until_text(f"{browser.card('ana')} .label", last.label or "")
    ana = browser.text(browser.card("ana"))
    for text in (
        last.label or "",
        "± 0.25",
        "↗ +0.40 a minute",
        "voice 75 %",
        "words 100 %",
        "no face",
        "all together 63 %",
    ):
        assert text in ana
    whole = browser.text(".card.meeting")
    for text in ("2 participants", "0.75", "→ −0.20 a minute", "→ steady"):
        assert text in whole
    browser.until_text("#alerts", "1:02 ana fell sharply 28 s ago, after “so says ana 60 so")
    browser.until_text("#health", "80 ms")
    browser.until_text("#facts", "live")
    browser.until_text("#lines", "so says ana 80")
    assert browser.text("#lines .unsure").isdigit()
    browser.until_text(f"{browser.card('ana')} .talk", "0:54, 69 % of all in 9 turns")
    browser.until_text(".card.meeting .talk", "1, 0:04 long")
    assert browser.text(".card.meeting .spoke dt") == "Silences"
    browser.shot("session-detailed")
    browser.driver.find_element(By.ID, "find").send_keys("Answers 47")
    browser.until_text("#found", "1 line of 17")
    browser.driver.find_element(By.CSS_SELECTOR, "#lines button").click()
    browser.until_text("#moment", "0:47")
    browser.shot("search")
    browser.driver.find_element(By.CSS_SELECTOR, "#alerts button").click()
    browser.until_text("#moment", "1:02")
    browser.driver.find_element(By.ID, "find").clear()
    browser.driver.find_element(By.ID, "find").send_keys(" ")
    browser.until_text("#lines [aria-current] .said", "so says ana 60")
    browser.run("document.getElementById('newest').click()")
    plot = browser.driver.find_element(By.CSS_SELECTOR, f"{browser.card('bo')} .u-over")
    ActionChains(browser.driver).move_to_element(plot).perform()
    browser.until_text(f"{browser.card('bo')} .tip", "0:4")
    hovered = browser.text(f"{browser.card('ana')} .tip")  # the same moment on the other timeline
    at = int(hovered.partition("  ")[0].partition(":")[2])
    expected = 1.5 * math.sin((at - 1) / 15)
    assert f"{expected:+.2f} ± 0.25, by itself {expected:+.2f}".replace("-", "−") in hovered
    browser.shot("hover")
    served.add(*of_two(90), alert(90, alert_id="later"))
    browser.until_text(f"{browser.card('ana')} .words", "the words of window 90")
    browser.until_text("#announcer", "ana fell")
    assert browser.driver.title == "(1 alert) standup · Sentiment"
    served.add(session(revision=1, names={"ana": "Ana Berg"}))
    browser.until_text(f"{browser.card('ana')} .name", "Ana Berg")
    browser.until_text("#alerts", "Ana Berg fell sharply")
    browser.until_text("#lines", "Ana Berg")
    assert browser.windows_seen("bo", 91) == list(range(91))
    browser.run(
        "document.getElementById('scrub').value = 25;"
        "document.getElementById('scrub').dispatchEvent(new Event('input'))"
    )
    browser.until_text(f"{browser.card('bo')} .now", "no evidence")
    browser.until_text("#moment", "0:25")
    browser.shot("moment")
    browser.driver.find_element(By.CSS_SELECTOR, "#order option[value=attention]").click()
    names = "return [...document.querySelectorAll('#cards .name')].map((name) => name.textContent)"
    browser.until(lambda: browser.run(names) == ["bo", "Ana Berg"], "bo first")
    browser.run("document.getElementById('newest').click()")
    browser.until_text(f"{browser.card('ana')} .words", "the words of window 90")


def test_a_meeting_without_persons_is_shown_as_a_whole(browser: Browser, served: Served) -> None:
    served.add(session(), *(session_sentiment(index) for index in range(29)))
    served.add(session_sentiment(29, -0.1, spread=2.1, divided=True))
    browser.open(served.url + "?session=standup")
    browser.until_text(".card.meeting .now", "divided")
    browser.until_text(".card.meeting .sure", "spread 2.10")
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, ".card")) == 1
    assert not browser.driver.find_element(By.ID, "transcript").is_displayed()
    assert not browser.driver.find_element(By.CSS_SELECTOR, ".card .talk").is_displayed()
    browser.shot("meeting-only")


def test_names_and_words_are_text_and_never_markup(browser: Browser, served: Served) -> None:
    evil = '<script>window.hit=1</script><img src=x onerror="window.hit=1">'
    name = evil.replace("/", "⁄")
    served.add(
        sentiment(0, 0.5, participant_id=name, text=evil),
        alert(0, participant_id=name, message=evil),
        sentiment(0, 0.5, session_id=name, participant_id=name, text=evil),
    )
    browser.open(served.url)
    browser.until_text("#rows", name)
    browser.shot("list-hostile")
    browser.driver.find_element(By.LINK_TEXT, name).click()
    browser.until_text("#title", name)
    browser.until_text(".card .words", evil)
    browser.open(served.url + "?session=standup")
    browser.until_text(".card .name", name)
    browser.until_text("#alerts", name)
    browser.shot("session-hostile")
    assert browser.run("return window.hit") is None
    assert browser.run("return document.querySelectorAll('main script, main img').length") == 0


def test_a_page_from_elsewhere_can_read_nothing(browser: Browser, served: Served) -> None:
    served.add(sentiment(0))
    browser.open("data:text/html,<title>elsewhere</title>")
    outcome = browser.driver.execute_async_script(
        """
        const [url, done] = arguments;
        const stream = new EventSource(`${url}api/events?session=standup`);
        stream.addEventListener("status", () => done("told"));
        stream.onerror = async () => {
          for (const mode of ["cors", "no-cors"]) {
            const answer = await fetch(`${url}api/status`, { mode }).catch(() => null);
            if (answer !== null) done(mode);
          }
          done("nothing");
        };
        """,
        served.url,
    )
    assert outcome == "nothing"
    assert browser.complaints()  # the browser says what it refused


def test_the_states_without_data(browser: Browser, served: Served) -> None:
    served.state("connecting")
    browser.open(served.url)
    browser.until_text("#banner", "Connecting to the broker at broker.example:9092")
    browser.shot("connecting")
    served.state("up")
    browser.until_text("#banner", "No session yet")
    browser.until_text("#commands", "streamer replay talk.mp4 --broker broker.example:9092")
    browser.shot("empty")
    served.state("down")
    browser.until_text("#banner", "The broker at broker.example:9092 has not answered")
    browser.shot("broker-down-empty")
    served.state("none")
    browser.until_text("#banner", "Nothing is recorded here, and no broker is followed.")
    served.feed.stages = {
        "capture": {"windows_per_s": 1.0},
        "inference": {"waiting": 2, "workers": 1},
        "smoothing": {"waiting": 0, "workers": 0},
    }
    served.state("up")
    browser.open(served.url + "?session=retro")
    browser.until_text("#banner", "Nothing yet of session retro")
    browser.until_text("#steps", "Session: retro has not begun.")
    browser.until_text("#steps", "Model: 2 windows in the queue.")
    browser.until_text("#steps", "streamer process --broker broker.example:9092")
    browser.shot("starting")
    served.feed.stages = {}
    served.add(sentiment(0, session_id="retro"), timestamp_ms=1_000)
    browser.until_text("#banner", "Nothing new for")
    assert not browser.driver.find_element(By.ID, "steps").is_displayed()
    browser.shot("stale")
    served.add(session("ended", session_id="retro"))
    browser.until_text("#banner", "This session has ended.")
    browser.shot("ended")
    served.state("down")
    browser.until_text("#banner", "The records shown are not up to date.")
    browser.shot("broker-down")


def test_a_list_then_one_session(browser: Browser, served: Served) -> None:
    for name, valence in (("retro", -1.0), ("standup", 0.75)):
        own = make_id(name, START, 0)
        served.add(session(session_id=own), session_sentiment(65, valence, session_id=own))
        served.add(sentiment(65, valence, session_id=own))
    browser.open(served.url)
    browser.until_text("#rows", "standup")
    rows = browser.text("#rows")
    assert rows.index("standup") < rows.index("retro")  # newest first
    assert "▲ +0.75 weakly positive" in rows and "▼ −1.00 weakly negative" in rows
    assert "1:06" in rows and "ana, bo" in rows
    browser.shot("list")
    browser.driver.find_element(By.LINK_TEXT, "retro").click()
    browser.until_text(f"{browser.card('ana')} .value", "−1.00")
    assert browser.text("#title") == "retro"
    browser.driver.find_element(By.LINK_TEXT, "All sessions").click()
    browser.until_text("#rows", "retro")


def test_a_dropped_connection_goes_on_without_a_gap(browser: Browser, served: Served) -> None:
    served.add(*(record for index in range(10) for record in of_two(index)))
    browser.open(served.url + "?session=standup")
    browser.until_text(f"{browser.card('ana')} .words", "window 9")
    browser.run("document.querySelector('.card').dataset.mine = 'yes'")
    port = served.port
    served.stop()
    browser.until_text("#link", "Connection lost")
    browser.until_text("#banner", "The connection to the page's server is lost")
    browser.shot("connection-lost")
    served.add(*(record for index in range(10, 20) for record in of_two(index)))
    served.start(port)
    browser.until_text("#link", "Connected")
    browser.until_text(f"{browser.card('ana')} .words", "window 19")
    assert browser.windows_seen("ana", 20) == list(range(20))
    assert browser.run("return document.querySelector('.card').dataset.mine") == "yes"

    # A server that has begun anew gives everything again, and nothing old stays.
    served.stop()
    served.start(port, served.new_feed())
    served.state("up")
    served.add(*(sentiment(index, participant_id="cy") for index in range(5)), session("ended"))
    browser.until_text(f"{browser.card('cy')} .words", "window 4")
    assert not browser.driver.find_elements(By.CSS_SELECTOR, browser.card("ana"))

    # A server that ends with its session, as a demo's does, leaves the page whole.
    browser.until_text("#facts", "ended")
    served.stop()
    browser.until_text("#banner", "This session has ended, and the page's server with it.")
    browser.shot("over")
    served.start(port)


def test_what_comes_late_twice_or_never_falls_into_its_place(
    browser: Browser, served: Served
) -> None:
    """`5b`: revision 1 of window 5; a dot is a window that has not come."""
    browser.open(served.url)
    drawn = browser.driver.execute_async_script(
        """
        const [cases, done] = arguments;
        import("/static/store.js").then(({ Track }) => done(cases.map((arrivals) => {
          const track = new Track();
          for (const [index, revision] of arrivals) {
            track.add({ window_index: index, revision, end_ms: 1000 * (index + 1), valence: 0,
              uncertainty: 1 });
          }
          const rising = track.end.every((end, at) => at === 0 || end > track.end[at - 1]);
          const same = [track.end, track.valence, track.low, track.high, track.raw]
            .every((column) => column.length === track.records.length);
          const slots = track.records.map((one) => one === null ? "."
            : `${one.window_index}${"_b"[one.revision] === "b" ? "b" : ""}`);
          return rising && same ? slots.join(" ") : "broken";
        })));
        """,
        [
            [(0, 0), (1, 0), (2, 0)],
            [(0, 0), (3, 0), (1, 0)],
            [(4, 0), (2, 0), (2, 0)],
            [(5, 1), (5, 0)],
            [(5, 0), (5, 1)],
            [(0, 0), (100_000, 0)],
        ],
    )
    assert drawn == ["0 1 2", "0 1 . 3", "2 . 4", "5b", "5b", "100000"]


def test_hours_of_ten_participants_stay_small(browser: Browser, served: Served) -> None:
    people = [f"person {number}" for number in range(10)]

    def hours(begin: int, end: int) -> None:
        for index in range(begin, end, 200):
            served.add(
                *(
                    sentiment(at, math.sin(at / 99), participant_id=name)
                    for at in range(index, min(index + 200, end))
                    for name in people
                )
            )

    def heap_megabytes() -> float:
        browser.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        used_bytes: int = browser.run("return performance.memory.usedJSHeapSize")
        return used_bytes / 1e6

    hours(0, 7200)
    browser.open(served.url + "?session=standup")
    browser.until_text(f"{browser.card('person 3')} .words", "window 7199")
    full = heap_megabytes()
    hours(7200, 9000)
    browser.until_text(f"{browser.card('person 3')} .words", "window 8999")
    browser.run(
        "document.getElementById('span').value = '0';"
        "document.getElementById('span').dispatchEvent(new Event('change'))"
    )
    browser.shot("hours")
    assert heap_megabytes() < 1.35 * full < 250


def test_a_recorded_session_opens_with_its_recording_beside_it(
    browser: Browser, tmp_path: Path
) -> None:
    media.write(tmp_path / "ana.mp4", media.Video(seconds=20.0, rate=5), media.Audio(seconds=20.0))
    people = (Participant("ana", (str(tmp_path / "ana.mp4"),)), Participant("bo", ("mic:1",)))
    with Writer(tmp_path / "kept") as writer:
        for state in ("started", "ended"):
            writer.add(session(state, session_id="retro", participants=people, live=False))
        for index in range(20):
            for name in ("ana", "bo"):
                of_name = sentiment(
                    index,
                    math.sin(index),
                    participant_id=name,
                    session_id="retro",
                    final=index == 19,
                    spoken=said(index, "and so on"),
                )
                writer.add(of_name)
            writer.add(session_sentiment(index, session_id="retro"))
        writer.add(alert(11, session_id="retro"))
    served = Served(recordings=tmp_path / "kept")
    try:
        served.state("none")  # the past needs no broker
        served.add(sentiment(0))
        browser.open(served.url + "?all")
        browser.until_text("#rows", "retro")
        assert "recorded" in browser.text("#rows")
        browser.shot("list-with-past")
        browser.driver.find_element(By.LINK_TEXT, "retro").click()
        browser.until_text(f"{browser.card('bo')} .words", "window 19")
        browser.until_text("#facts", "recorded")
        browser.until_text("#facts", "mean +0.25")
        browser.until_text("#alerts", "0:12 ana fell sharply")
        video = f"document.querySelector('{browser.card('ana')} video')"
        browser.until(lambda: browser.run(f"return {video}.readyState >= 2"), "a picture")
        assert not browser.driver.find_elements(By.CSS_SELECTOR, f"{browser.card('bo')} video")

        browser.driver.find_element(By.ID, "scrub").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 7)
        browser.until_text("#moment", "0:07")
        browser.until(
            lambda: browser.run(f"return {video}.currentTime") == 7, "the picture of 0:07"
        )
        browser.until_text(f"{browser.card('ana')} .words", "window 6")
        browser.driver.find_element(By.ID, "play").click()
        browser.until_text("#play", "Pause")
        browser.until_text(f"{browser.card('bo')} .words", "window 8")
        browser.driver.find_element(By.ID, "play").click()
        browser.until_text("#play", "Play")
        at = browser.run(f"return {video}.currentTime")
        window = browser.run(
            f"return document.querySelector('{browser.card('ana')} .value').dataset.window"
        )
        assert abs(at - (int(window) + 1)) <= 1.5
        for control in ("mute", "captions"):
            browser.driver.find_element(By.ID, control).click()
        browser.driver.find_element(By.CSS_SELECTOR, "#rate option[value='2']").click()
        assert browser.run(f"return [{video}.muted, {video}.playbackRate]") == [True, 2]
        captions = f"{video}.textTracks[0]"
        assert browser.run(f"return {captions}.mode") == "showing"
        assert browser.run(f"return {captions}.cues[0].text").startswith("and so on <i>0</i> and")
        browser.driver.find_element(By.ID, "next-alert").click()
        browser.until_text("#play", "Pause")
        browser.until_text(f"{browser.card('bo')} .words", "window 12")
        browser.driver.find_element(By.ID, "play").click()
        browser.until_text("#play", "Play")
        browser.shot("recorded")
    finally:
        served.close()


def test_the_command_serves_until_it_is_interrupted(embedded_broker: str) -> None:
    command = [sys.executable, "-m", "streamer", "dashboard", "--broker", embedded_broker]
    with subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = line.removeprefix("Live page: ").strip()
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert b"<title>Sentiment</title>" in answer.read()
        port = address.rstrip("/").rpartition(":")[2]
        second = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 2
        assert second.stderr.startswith(f"streamer: The page cannot be served at 127.0.0.1:{port}")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()


async def publish(address: str, records: list[Shown]) -> None:
    async with Producer(build({"kafka": {"broker": address}})) as publisher:
        for record in records:
            await publisher.publish(record)


def test_from_the_topics_to_the_screen(browser: Browser) -> None:
    records = [record for index in range(12) for record in of_two(index)]
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        served = Served(build({"kafka": {"broker": broker.address}}))
        stack.callback(served.close)
        browser.open(served.url + "?session=standup")
        asyncio.run(publish(broker.address, [session(), *records]))
        browser.until_text(f"{browser.card('bo')} .words", "window 11")
        asyncio.run(publish(broker.address, [*records[-3:], alert(11)]))  # again: no change
        browser.until_text("#alerts", "ana fell")
        for record in records[-3:-1]:
            assert isinstance(record, Sentiment)
            shown = browser.attribute(
                f"{browser.card(record.participant_id)} .value", "data-valence"
            )
            assert float(shown) == record.valence
        assert browser.windows_seen("ana", 12) == list(range(12))
        broker.close()
        browser.until_text("#banner", f"The broker at {broker.address} has not answered")
        browser.until_text("#banner", "The records shown are not up to date.")


def test_the_page_moves_during_the_demo_and_agrees_with_the_topic(browser: Browser) -> None:
    command = [sys.executable, "-m", "streamer", "demo", "--speed", "2", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        printing = process.stdout
        for line in process.stderr:
            if line.startswith("Live page: "):
                break
        rest_of_errors = threading.Thread(target=process.stderr.read, daemon=True)
        rest_of_errors.start()
        printed: list[str] = []
        reading = threading.Thread(target=lambda: printed.extend(printing), daemon=True)
        reading.start()
        browser.open(line.removeprefix("Live page: ").strip())
        value = f"{browser.card('ana')} .value"

        def newest() -> int:
            return int(browser.attribute(value, "data-window"))

        def next_after(before: int) -> None:
            browser.until(lambda: newest() > before, f"a window after {before}")

        next_after(-1)
        for _ in range(3):
            next_after(newest())
        browser.shot("demo")
        assert process.wait(150) == 0
        reading.join(10)
        rest_of_errors.join(10)
    published = [json.loads(line) for line in printed]
    for name in ("ana", "bo"):
        valence = {
            r["window_index"]: r["valence"] for r in published if r["participant_id"] == name
        }
        shown = dict(browser.seen(name, len(valence)))
        assert len(shown) >= len(valence) - 2  # the server ends with the demo
        assert rounded(shown) == {index: valence[index] for index in shown}
