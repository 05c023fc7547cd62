"""A minimal RTSP camera: one PCMU audio stream, interleaved on the control connection."""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=tone
c=IN IP4 127.0.0.1
t=0 0
m=audio 0 RTP/AVP 0
a=control:track
"""
PACKET_SAMPLES = 160
"""20 ms at 8 kHz."""


def mu_law(wave: np.ndarray) -> bytes:
    """Encode samples in [-1, 1] as ITU-T G.711 µ-law."""
    pcm = np.clip(np.abs(wave) * 32_635, 0, 32_635).astype(np.int64) + 132
    exponent = np.floor(np.log2(pcm)).astype(np.int64) - 7
    mantissa = (pcm >> (exponent + 3)) & 0x0F
    sign = np.where(wave < 0, 0x80, 0)
    codes: NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes.tobytes()


class _Camera(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while (request := self._request()) is not None:
            method, sequence = request
            if method == "DESCRIBE":
                body = SDP.replace("\n", "\r\n")
                self._answer(
                    sequence, f"Content-Type: application/sdp\r\nContent-Length: {len(body)}", body
                )
            elif method == "SETUP":
                transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
                self._answer(sequence, f"{transport}\r\nSession: 1")
            elif method == "PLAY":
                self._answer(sequence, "Session: 1")
                return self._play()
            else:
                self._answer(sequence, "Public: DESCRIBE, SETUP, PLAY, TEARDOWN")
        return None

    def _request(self) -> tuple[str, str] | None:
        first, sequence = self.rfile.readline().decode(), ""
        if not first.strip():
            return None
        while (line := self.rfile.readline().decode().strip()) != "":
            if line.lower().startswith("cseq:"):
                sequence = line.split(":")[1].strip()
        return first.split()[0], sequence

    def _answer(self, sequence: str, headers: str, body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{headers}\r\n\r\n{body}".encode())

    def _play(self) -> None:
        for number in range(100_000):
            index = number * PACKET_SAMPLES + np.arange(PACKET_SAMPLES)
            payload = mu_law(0.5 * np.sin(2 * np.pi * 440 * index / 8000))
            stamp = (number * PACKET_SAMPLES) & 0xFFFFFFFF
            header = struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, stamp, 1)
            packet = header + payload
            try:
                self.wfile.write(struct.pack(">BBH", 0x24, 0, len(packet)) + packet)
            except OSError:
                return
            time.sleep(0.01)


@contextmanager
def tone_server() -> Iterator[str]:
    """Run a camera that sends a tone and yield its address."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Camera)
    server.daemon_threads = True
    with serving(server) as port:
        yield f"rtsp://127.0.0.1:{port}/tone"


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Run a server in a thread and yield its port."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
