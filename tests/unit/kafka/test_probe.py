"""Whether a broker answers, and whether its clients can reach the addresses that it gives them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from streamer.cli.doctor import examine_broker
from streamer.config import Config, build
from streamer.errors import BrokerError
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.probe import answers, failures
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SCORES
from streamer.processing.worker import run


@pytest.fixture
def address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_listening_address_answers(address: str) -> None:
    assert answers(address)
    assert answers(f"127.0.0.1:1, {address}")


def test_a_closed_port_and_an_invalid_address_do_not_answer() -> None:
    assert not answers("127.0.0.1:1")
    assert not answers("nowhere")


async def test_a_failure_says_what_is_wrong_with_an_address(address: str) -> None:
    reasons = await failures([address, "a.invalid:9092", "127.0.0.1:1"])
    assert reasons.keys() == {"a.invalid:9092", "127.0.0.1:1"}
    assert reasons["a.invalid:9092"].startswith("this machine cannot resolve")
    assert reasons["127.0.0.1:1"].startswith("does not accept a connection")


@pytest.fixture
async def misnamed(embedded_broker: str) -> AsyncIterator[Config]:
    """A broker that names itself a.invalid, as one in a container may: a proxy writes the name."""
    host, port = embedded_broker.rsplit(":", 1)
    tasks: set[asyncio.Task[None]] = set()

    async def relay(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
    ) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(change(data))
                await writer.drain()
        finally:
            writer.close()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(host, int(port))
        renamed = lambda data: data.replace(b"127.0.0.1", b"a.invalid")  # noqa: E731
        tasks.add(asyncio.create_task(relay(reader, to_broker, bytes)))
        tasks.add(asyncio.create_task(relay(from_broker, writer, renamed)))

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    name = f"localhost:{server.sockets[0].getsockname()[1]}"
    yield build({"kafka": {"broker": name, "connect_timeout_s": 60}})
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # the transports are closed in the loop's next turn


USES: dict[str, Callable[[Config], Coroutine[Any, Any, Any]]] = {
    "a producer": lambda config: Producer(config).__aenter__(),
    "a consumer": lambda config: Consumer(config, SCORES).__aenter__(),
    "a consumer of a group": lambda config: Consumer(config, SCORES, group="g").__aenter__(),
    "the topics": ensure_topics,
    "the processor": lambda config: run(config, asyncio.Event()),
}


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
async def test_an_advertised_name_that_cannot_be_resolved_is_named_soon(
    misnamed: Config, use: str
) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(BrokerError, match=r"sends its clients to a\.invalid:\d+ .*advertised"):
            await USES[use](misnamed)


@pytest.mark.slow
async def test_the_doctor_names_the_advertised_address_within_ten_seconds(misnamed: Config) -> None:
    async with asyncio.timeout(10):
        finding = await examine_broker(misnamed)
    assert finding.state == "broken" and "advertised.listeners" in finding.found
