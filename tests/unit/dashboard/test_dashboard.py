"""The page's server without a browser: numbering, resuming, who may look, what is bounded."""

import asyncio
import contextlib
import importlib.resources
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from streamer import dashboard
from streamer.config import build
from streamer.dashboard import feed as feeds
from streamer.dashboard.access import STATIC, is_loopback
from streamer.dashboard.bodies import BLOCK
from streamer.dashboard.events import Cursor
from streamer.dashboard.feed import Feed, SessionLog, encode
from streamer.dashboard.history import Recorded, media
from streamer.dashboard.server import Page
from streamer.errors import ConfigError
from streamer.kafka.admin import ensure_topics
from streamer.kafka.backlog import Backlog, Work
from streamer.kafka.consumer import Consumer
from streamer.kafka.groups import consumer_group
from streamer.kafka.presence import STAGES, absent_stages
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SCORES
from streamer.metrics import Metrics
from streamer.notices import Notices
from streamer.recording.reader import Recordings
from streamer.recording.writer import Writer
from streamer.records import Participant, Session, SpeechSpan, Spoken
from streamer.session_ids import make_id
from tests.made_records import START, alert, score, sentiment, session, session_sentiment

TOKEN = "a-token-of-some-length"


@pytest.fixture
async def feed() -> Feed:
    return Feed("broker.example:9092")


@contextlib.asynccontextmanager
async def asking(page: Page, **headers: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(page.url().partition("?")[0], headers=headers) as client:
        yield client


async def events(
    client: aiohttp.ClientSession,
    path: str,
    until: str,
    meanwhile: Callable[[], None] = lambda: None,
    headers: Mapping[str, str] | None = None,
) -> list[tuple[str, str | None, Any]]:
    """Server-sent events up to the first one called `until`: its name, id and data.

    `meanwhile` happens once the stream has begun.
    """
    sent: list[tuple[str, str | None, Any]] = []
    async with client.get(path, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        meanwhile()
        fields: dict[str, str] = {}
        async for line in response.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            sent.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
            fields = {}
            if sent[-1][0] == until:
                return sent
    raise AssertionError(f"the stream ended before {until}")


def indexes(sent: list[tuple[str, str | None, Any]]) -> list[int]:
    records = [item for name, _, data in sent if name == "records" for item in data]
    return [item["window_index"] for item in records if item["topic"] == "smoothed"]


# --- the log


def test_a_record_keeps_the_names_and_values_of_its_topic() -> None:
    record = sentiment(3, 1 / 3)
    shown = json.loads(encode(record))
    assert shown.pop("topic") == "smoothed"
    assert shown["valence"] == 1 / 3
    assert shown.items() >= {"participant_id": "ana", "end_ms": 4000, "final": False}.items()
    assert not shown.keys() & set(feeds.OMITTED)
    assert json.loads(encode(alert(0)))["topic"] == "alerts"
    assert json.loads(encode(alert(0)))["kind"] == "sharp_drop"


def test_names_are_in_the_summary_until_others_are_given_and_ids_stay() -> None:
    feed = Feed("broker.example:9092")
    feed.add(session(), 0)
    feed.add(session(revision=2, names={"ana": "Ana Berg"}), 0)
    feed.add(session(revision=1, names={"ana": "Ann"}), 0)
    feed.add(session("ended"), 0)
    summary = feed.sessions["standup"].summary()
    assert summary["names"] == {"ana": "Ana Berg"}
    assert summary["participants"] == ["ana", "bo"]
    assert summary["ended"] is True


def test_the_summary_has_who_turned_out_to_be_whom() -> None:
    feed = Feed("broker.example:9092")
    feed.add(session(), 0)
    summary = feed.sessions["standup"].summary()
    assert (summary["merged"], summary["parted"]) == ({}, {})
    people = (
        Participant("ana", ()),
        Participant("bo", (), merged_into="ana"),
        Participant("cy", (), parted_from="ana"),
    )
    feed.add(msgspec.structs.replace(session(), participants=people), 0)
    summary = feed.sessions["standup"].summary()
    assert (summary["merged"], summary["parted"]) == ({"bo": "ana"}, {"cy": "ana"})


def test_names_that_were_stated_outlast_people_whom_capture_notices_later() -> None:
    feed, room = Feed("broker.example:9092"), session(live=True)
    later = (*room.participants, Participant("speaker-9", (), identified_by="diarization"))
    feed.add(room, 0)
    feed.add(msgspec.structs.replace(room, revision=1, names={"ana": "Ana Berg"}), 0)
    feed.add(msgspec.structs.replace(room, participants=later, names={"bo": "by voice"}), 0)
    summary = feed.sessions["standup"].summary()
    assert summary["names"] == {"ana": "Ana Berg"}
    assert "speaker-9" in summary["participants"]


def test_the_page_gets_how_a_participant_is_known_and_how_surely() -> None:
    record = sentiment(3)
    record = msgspec.structs.replace(record, identified_by="diarization", identity_confidence=0.75)
    shown = json.loads(encode(record))
    assert (shown["identified_by"], shown["identity_confidence"]) == ("diarization", 0.75)


def test_a_place_in_the_log_is_where_reading_goes_on() -> None:
    log = SessionLog("standup")
    for index in range(10):
        log.add(sentiment(index), 0)
    number, complete = log.resume(log.place(6))
    assert (number, complete) == (7, True)
    assert [json.loads(item)["window_index"] for item in log.read(number, 2)[1]] == [7, 8]
    assert log.resume(None) == (0, True)
    assert log.resume(log.place(9)) == (10, True)


@pytest.mark.parametrize("place", ["", "nonsense", "0.5", "{token}.-3", "{token}.99", "{token}.٣"])
def test_a_place_that_is_not_in_the_log_means_beginning_anew(place: str) -> None:
    log = SessionLog("standup")
    log.add(sentiment(0), 0)
    token = log.place(0).partition(".")[0]
    assert log.resume(place.format(token=token)) == (0, not place)


def test_a_log_forgets_its_oldest_and_tells_who_was_there() -> None:
    log = SessionLog("standup", limit=2_000)
    slow = Cursor(None)
    for index in range(1_500):
        log.add(sentiment(index), 0)
    assert len(slow.take(log)) == 1  # the first 1,000
    place = log.place(999)
    for index in range(1_500, 6_000):
        log.add(sentiment(index), 0)
    assert 2_000 <= len(log) < 2_000 + BLOCK
    assert log.resume(place) == (6_000 - len(log), False)
    assert slow.take(log)[0].startswith(b"event: reset\n")


def test_the_speed_of_a_session_is_that_of_its_newest_records() -> None:
    log = SessionLog("standup")
    assert log.summary()["speed"] is None
    for index in range(100):  # at real time at first, then at 0.4 of it
        log.add(sentiment(index), 1_000 * index if index < 50 else 50_000 + 2_500 * (index - 50))
        if index == 5:
            assert log.summary()["speed"] is None
        if index == 49:
            assert log.summary()["speed"] == 1.0
    assert log.summary()["speed"] == 0.4
    log.add(sentiment(99, revision=1), 0)  # published before
    assert log.summary()["speed"] == 0.4


async def test_a_record_that_came_before_changes_nothing(feed: Feed) -> None:
    for _ in range(2):
        feed.add(sentiment(0), 5)
        feed.add(alert(0), 5)
    assert len(feed.sessions["standup"]) == 2
    feed.add(sentiment(0, revision=1), 6)
    assert len(feed.sessions["standup"]) == 3


async def test_the_page_s_meeting_is_the_highest_revision(feed: Feed) -> None:
    for revision, valence in ((0, 1.0), (2, -1.0), (1, 2.0)):
        feed.add(session_sentiment(7, valence, revision=revision), 0)
    log = feed.sessions["standup"]
    assert len(log) == 2
    assert log.summary()["valence"] == -1.0


async def test_a_revision_replaces_its_window_and_adds_nothing_else(feed: Feed) -> None:
    spoken = Spoken((SpeechSpan(0, 600),))
    waited = {"capture": 2_000.0, "total": 2_100.0}
    feed.add(sentiment(0, spoken=spoken), 0)
    feed.add(sentiment(1, 1.0), 1)
    longer = Spoken((SpeechSpan(0, 900),))
    feed.add(sentiment(0, -1.0, revision=1, spoken=longer, latency_ms=waited), 2)
    log = feed.sessions["standup"]

    assert log.participants["ana"].window_index == 1, "the newest window, not the newest record"
    assert log.conversation()["participants"][0]["talk_ms"] == 900
    assert log.latencies()["total"] == {"median": 110.0, "p95": 110.0}, "not the wait for words"


async def test_sessions_are_bounded_and_the_one_longest_silent_goes_first(feed: Feed) -> None:
    for number in range(feeds.MAX_SESSIONS):
        feed.add(sentiment(0, session_id=f"s{number}"), number)
    feed.add(sentiment(1, session_id="s0"), 999)
    feed.add(sentiment(0, session_id="new"), 1000)
    assert len(feed.sessions) == feeds.MAX_SESSIONS
    assert "s0" in feed.sessions
    assert "s1" not in feed.sessions


async def test_a_page_of_one_session_is_told_of_that_one_alone(feed: Feed) -> None:
    for number in range(3):
        feed.add(sentiment(0, session_id=f"s{number}"), number)
    feed.past = [{"session_id": "s1"}, {"session_id": "old"}]
    names = [item["session_id"] for item in feed.status(None)["sessions"]]
    assert names == ["s2", "s1", "s0", "old"]
    assert [item["session_id"] for item in feed.status("s1")["sessions"]] == ["s1"]
    assert feed.status("old")["sessions"] == [{"session_id": "old", "recorded": True}]
    assert feed.status("unknown")["sessions"] == []


async def test_the_status_has_problems_and_notices_of_this_process() -> None:
    notices, stage = Notices(), Metrics()
    feed = Feed("broker:9092", notices, stage)
    assert (feed.status(None)["problems"], feed.status(None)["notices"]) == ([], [])
    stage.problem("recording", "The disk is full.")
    notices.give("ana: very quiet")
    assert feed.status(None)["problems"] == ["The disk is full."]
    assert feed.status(None)["notices"] == ["ana: very quiet"]


async def test_the_status_of_a_session_tells_who_spoke_how_long(feed: Feed) -> None:
    feed.add(sentiment(0, spoken=Spoken((SpeechSpan(0, 600),))), 0)
    feed.add(sentiment(1, spoken=Spoken((SpeechSpan(1000, 1400),))), 0)
    (ana,) = feed.status("standup")["conversation"]["participants"]
    assert (ana["talk_ms"], ana["turns"]) == (1000, 1)
    assert feed.status(None)["conversation"] is None


async def test_the_status_sums_a_session_up(feed: Feed) -> None:
    feed.add(session(), 1_000)
    for index in range(4):
        feed.add(sentiment(index, latency_ms={"total": float(index)}), 2_000 + index)
    feed.add(session_sentiment(3, 0.25), 2_500)
    feed.add(alert(2), 2_600)
    status = feed.status("standup")
    [summary] = status["sessions"]
    assert summary["participants"] == ["ana", "bo"]
    assert summary["valence"] == 0.25
    assert (summary["updated_ms"], summary["end_ms"], summary["alerts"]) == (2_600, 4_000, 1)
    assert status["latency_ms"] == {"total": {"median": 1.5, "p95": 3.0}}
    feed.add(alert(2, state="cleared"), 2_700)
    feed.add(session("ended"), 2_800)
    [summary] = feed.status(None)["sessions"]
    assert (summary["alerts"], summary["ended"]) == (0, True)


# --- the stream


async def test_the_stream_gives_what_there_is_then_what_comes(feed: Feed) -> None:
    for index in range(2_500):
        feed.add(sentiment(index), 0)
    async with Page(feed, port=0) as page, asking(page) as client:
        sent = await events(client, "/api/events?session=standup", until="live")
        assert sent[0][0] == "status"
        assert indexes(sent) == list(range(2_500))
        last = [place for name, place, _ in sent if name == "records"][-1]

        path = f"/api/events?session=standup&after={last}"
        sent = await events(client, path, "records", lambda: feed.add(sentiment(2_500), 0))
        assert indexes(sent) == [2_500]

        header = {"Last-Event-ID": str(last)}
        sent = await events(client, "/api/events?session=standup", until="live", headers=header)
        assert indexes(sent) == [2_500]
        assert "reset" not in [name for name, *_ in sent]


async def test_a_place_of_another_server_is_answered_with_reset_and_everything(feed: Feed) -> None:
    feed.add(sentiment(0), 0)
    async with Page(feed, port=0) as page, asking(page) as client:
        sent = await events(client, "/api/events?session=standup&after=abc.17", until="live")
        names = [name for name, *_ in sent if name != "status"]
        assert names == ["reset", "records", "live"]


async def test_a_name_shows_the_newest_session_of_it_and_an_id_that_one(feed: Feed) -> None:
    older, newer = (make_id("standup", START + timedelta(days=day), 0) for day in (0, 1))
    feed.add(sentiment(0, session_id=older), 0)
    feed.past = [{"session_id": "standup", "name": "standup"}]
    async with Page(feed, port=0) as page, asking(page) as client:
        path = "/api/events?session=standup"
        async with asyncio.timeout(20), client.get(path) as response:
            async for line in response.content:
                if line == b"event: records\n":
                    feed.add(sentiment(7, session_id=newer), 0)
                if line == b"event: reset\n":
                    break
        assert indexes(await events(client, path, "live")) == [7]
        assert indexes(await events(client, f"/api/events?session={older}", "live")) == [0]
    [summary] = feed.status("standup")["sessions"]
    assert (summary["session_id"], summary["name"]) == (newer, "standup")
    [summary] = feed.status("=standup")["sessions"]
    assert summary["session_id"] == "standup"


async def test_a_session_that_does_not_exist_yet_is_waited_for(feed: Feed) -> None:
    async with Page(feed, port=0) as page, asking(page) as client:
        path = "/api/events?session=standup"
        sent = await events(client, path, "records", lambda: feed.add(sentiment(0), 0))
        assert indexes(sent) == [0]


async def test_closing_ends_the_open_streams(feed: Feed) -> None:
    page = Page(feed, port=0)
    await page.__aenter__()
    async with asking(page) as client, client.get("/api/events") as response:
        await response.content.readline()
        await page.__aexit__(None, None, None)
        await response.content.read()
        assert response.content.at_eof()


# --- who may look


async def test_every_answer_forbids_what_the_page_does_not_need(feed: Feed) -> None:
    async with Page(feed, port=0) as page, asking(page) as client:
        for path, status in (("/", 200), ("/static/page.js", 200), ("/nothing", 404)):
            async with client.get(path) as response:
                assert response.status == status
                policy = response.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert "Access-Control-Allow-Origin" not in response.headers


def test_every_script_and_style_of_the_page_is_served() -> None:
    folder = importlib.resources.files("streamer.dashboard") / "static"
    names = {entry.name for entry in folder.iterdir() if entry.name.endswith((".js", ".css"))}
    assert "page.js" in names
    assert names - set(STATIC) == set()
    assert {name for name in STATIC if not (folder / name).is_file()} == set()


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/"])
async def test_only_the_page_s_own_files_are_served(feed: Feed, path: str) -> None:
    async with Page(feed, port=0) as page:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(page.url()[17:-1]))
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        assert b" 404 " in answer.splitlines()[0]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"]
)
async def test_a_foreign_name_for_this_address_is_refused(feed: Feed, host: str) -> None:
    async with Page(feed, port=0) as page, asking(page, Host=host) as client:
        async with client.get("/api/status") as response:
            assert response.status == 421


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_other_sites_may_link_here_and_read_nothing(feed: Feed, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    async with Page(feed, port=0) as page, asking(page, **headers) as client:
        async with client.get("/api/events") as response:
            assert response.status == 403
        async with client.get("/", headers={"Sec-Fetch-Mode": "navigate"}) as response:
            assert response.status == 200


async def test_it_cannot_be_written_to(feed: Feed) -> None:
    async with Page(feed, port=0) as page, asking(page) as client:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            async with client.request(method, "/api/status") as response:
                assert response.status == 405


async def test_an_address_for_others_demands_the_token(feed: Feed) -> None:
    async with Page(feed, "0.0.0.0", 0, TOKEN) as page:
        port = int(page.url().partition("?")[0].rstrip("/").rpartition(":")[2])
        base = f"http://127.0.0.1:{port}"
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(base, cookie_jar=jar) as client:
            for path in ("/", "/api/status", "/static/page.js", "/?token=wrong-and-long-enough"):
                async with client.get(path) as response:
                    assert response.status == 401
            for strange in ("Bearer \udcff", "Bearer é", "Basic x"):
                async with client.get("/", headers={"Authorization": strange}) as response:
                    assert response.status == 401
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            async with client.get("/api/status", headers=bearer) as response:
                assert response.status == 200
            async with client.get(f"/?session=a%20b&token={TOKEN}") as response:
                assert response.status == 200
                assert str(response.url) == f"{base}/?session=a+b"  # the token is out of sight
            async with client.get("/api/status") as response:  # the cookie is enough
                assert response.status == 200


async def test_a_token_is_made_where_one_is_needed(feed: Feed) -> None:
    assert Page(feed, "127.0.0.1").token is None
    made = {Page(feed, host).token for host in ("0.0.0.0", "::", "192.0.2.7", "host.example")}
    assert len(made) == 4
    assert all(token is not None and len(token) >= 20 for token in made)
    with pytest.raises(ConfigError, match="at least 16"):
        Page(feed, token="short")


def test_what_loopback_is() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.7", "localhost.example")))


async def test_a_port_that_is_taken_is_named_or_passed_over(feed: Feed) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            async with Page(feed, port=port):
                pass
        async with Page(feed, port=port, any_port=True) as page, asking(page) as client:
            async with client.get("/") as response:
                assert response.status == 200


# --- the topics


async def test_without_a_broker_there_are_the_recordings(tmp_path: Path) -> None:
    recorded_session(tmp_path)
    folder = tmp_path / "kept"
    async with (
        dashboard.showing(build({}), port=0, recordings=folder) as page,
        asking(page) as client,
    ):
        sent = await events(client, "/api/events?session=retro", until="live")
        assert indexes(sent) == [0, 1]
        assert {data["broker"]["state"] for name, _, data in sent if name == "status"} == {"none"}


async def test_a_broker_that_is_away_is_said_and_waited_for() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    config = build({"kafka": {"broker": address, "connect_timeout_s": 0.3}})
    async with (
        asyncio.timeout(30),
        dashboard.showing(config, port=0) as page,
        asking(page) as client,
    ):
        while True:
            async with client.get("/api/status") as response:
                broker = (await response.json())["broker"]
            if broker["state"] == "down":
                break
            await asyncio.sleep(0.05)
        assert broker["address"] == address


@pytest.mark.parametrize(
    "broker",
    [
        pytest.param("embedded_broker", marks=pytest.mark.slow),
        pytest.param("kafka_broker", marks=pytest.mark.kafka),
    ],
)
async def test_what_waits_for_a_stage_is_what_it_has_not_committed(
    broker: str, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue(broker)
    config = build({"kafka": {"broker": address, "topic_prefix": "waits"}})
    workers = None if broker == "embedded_broker" else 0  # which lists no members
    one_worker = None if workers is None else 1
    idle = Work(0, 0, workers)
    async with Backlog(config) as backlog, Producer(config) as publisher:
        assert await backlog.read() == {}
        await ensure_topics(config)
        for index in range(5):
            await publisher.publish(score(index))
        assert await absent_stages(config) == ([] if workers is None else list(STAGES))
        assert await backlog.read() == {"inference": idle, "smoothing": Work(5, None, workers)}
        group = consumer_group(config, "smoothing")
        async with Consumer(config, SCORES, group=group) as reader:
            taken: list[object] = []
            while len(taken) < 3:
                taken += await reader.batch(3 - len(taken), 500)
            await reader.commit()
            assert await backlog.read() == {"inference": idle, "smoothing": Work(5, 2, one_worker)}
            assert await absent_stages(config) == ([] if workers is None else ["inference"])
        assert await backlog.read() == {"inference": idle, "smoothing": Work(5, 2, workers)}
        await publisher.publish(score(5))
        assert await backlog.read() == {"inference": idle, "smoothing": Work(6, 3, workers)}


def test_the_rate_of_windows_is_that_of_the_last_seconds() -> None:
    published: deque[tuple[float, int]] = deque()
    sent = [
        feeds.stages({"inference": Work(2 * second, 1, 2)}, published, float(second))
        for second in range(0, 60, 2)
    ]
    assert sent[0] == {
        "capture": {"windows_per_s": 0.0},
        "inference": {"waiting": 1, "workers": 2},
    }
    assert sent[-1]["capture"] == {"windows_per_s": 2.0}
    later = feeds.stages({"inference": Work(116, 0)}, published, 100.0)
    assert later["capture"] == {"windows_per_s": 0.0}
    assert feeds.stages({"smoothing": Work(3, None)}, deque(), 0.0) == {
        "smoothing": {"waiting": None, "workers": None}
    }


# --- the past


def recorded_session(folder: Path, **changes: Any) -> Recorded:
    """A complete recording of session retro, two windows of ana, in `folder`."""
    people = (Participant("ana", (str(folder / "ana.mp4"),)),)
    with Writer(folder / "kept") as writer:
        for state in ("started", "ended"):
            writer.add(session(state, session_id="retro", participants=people, **changes))
        for index in range(2):
            writer.add(sentiment(index, session_id="retro", final=index == 1))
    return Recorded(Recordings(folder / "kept"))


async def test_a_recorded_session_is_listed_and_read(feed: Feed, tmp_path: Path) -> None:
    history = recorded_session(tmp_path)
    async with Page(feed, port=0, history=history) as page, asking(page) as client:
        while "retro" not in feed.past:
            await feed.news.wait()
        sent = await events(client, "/api/events?session=retro", until="live")
        assert indexes(sent) == [0, 1]
        status = [data for name, _, data in sent if name == "status"][-1]
        assert status["recorded"]
        assert [item["session_id"] for item in status["sessions"]] == ["retro"]


async def test_a_session_on_the_topics_is_read_back_once_the_recording_has_it_whole(
    feed: Feed, tmp_path: Path
) -> None:
    """The topics may hold its end only: this server looks back LOOK_BACK, and topics forget."""
    history = recorded_session(tmp_path)
    async with Page(feed, port=0, history=history) as page, asking(page) as client:
        while "retro" not in feed.past:
            await feed.news.wait()
        feed.add(session(session_id="retro"), 0)
        feed.add(sentiment(1, session_id="retro"), 0)
        assert indexes(await events(client, "/api/events?session=retro", "live")) == [1]
        feed.add(session("ended", session_id="retro"), 0)
        assert indexes(await events(client, "/api/events?session=retro", "live")) == [0, 1]


async def test_the_recording_is_served_in_parts_and_nothing_else_is(
    feed: Feed, tmp_path: Path
) -> None:
    (tmp_path / "ana.mp4").write_bytes(b"0123456789")
    history = recorded_session(tmp_path)
    address = "/api/media?session=retro&participant="
    async with Page(feed, port=0, history=history) as page, asking(page) as client:
        while "retro" not in feed.past:
            await feed.news.wait()
        async with client.get(address + "ana", headers={"Range": "bytes=2-4"}) as response:
            assert (response.status, response.content_type) == (206, "video/mp4")
            assert await response.read() == b"234"
        for other in (address + "bo", address, "/api/media", address + "..%2Fana.mp4"):
            async with client.get(other) as response:
                assert response.status == 404


async def test_a_recording_kept_beside_the_records_is_served_wherever_the_folder_lies(
    feed: Feed, tmp_path: Path
) -> None:
    recorded_session(tmp_path)
    (tmp_path / "ana.mp4").write_bytes(b"0123456789")
    with Writer(tmp_path / "kept") as writer:
        for item in Recordings(tmp_path / "kept").records("retro", Session):
            writer.keep_media(item)
    (tmp_path / "ana.mp4").unlink()
    (tmp_path / "kept").rename(tmp_path / "elsewhere")
    history = Recorded(Recordings(tmp_path / "elsewhere"))
    async with Page(feed, port=0, history=history) as page, asking(page) as client:
        while "retro" not in feed.past:
            await feed.news.wait()
        sent = await events(client, "/api/events?session=retro", until="live")
        assert [data for name, _, data in sent if name == "status"][-1]["media"] == ["ana"]
        async with client.get("/api/media?session=retro&participant=ana") as response:
            assert (response.status, response.content_type) == (200, "video/mp4")
            assert await response.read() == b"0123456789"


def test_a_topic_cannot_name_any_file_of_this_machine(tmp_path: Path) -> None:
    """A session's record is whatever was written to the topic."""
    for name in ("secret.txt", "ana.mp4"):
        (tmp_path / name).write_text("x")
    (tmp_path / "elsewhere").mkdir()

    def named(*sources: str) -> Session:
        return session(participants=(Participant("ana", sources),))

    there = str(tmp_path / "ana.mp4")
    assert media(named(there), None, anywhere=True) == {"ana": tmp_path / "ana.mp4"}
    assert media(named(there), None, anywhere=False) == {}
    assert media(named("/moved/ana.mp4"), tmp_path, anywhere=False) == {"ana": tmp_path / "ana.mp4"}
    assert media(named("../ana.mp4"), tmp_path / "elsewhere", anywhere=False) == {}
    for source in (str(tmp_path / "secret.txt"), str(tmp_path), "rtsp://cam/ana.mp4", "webcam:0"):
        assert media(named(source), tmp_path, anywhere=True) == {}
    assert media(None, tmp_path, anywhere=True) == {}
