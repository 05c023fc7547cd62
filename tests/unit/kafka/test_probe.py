"""A broker answers if one of its addresses accepts a connection."""

import socket
from collections.abc import Iterator

import pytest

from streamer.kafka.probe import answers


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
