"""The encryption of a connection: senders may have a certificate of RSA too.

What enters: nothing. What leaves: a certificate that aiortc uses for one connection, with the
ciphers that it accepts. Who the other side is tells the fingerprint in its offer, as ever.

GStreamer makes certificates of RSA; aiortc by itself takes those of elliptic curves only.
"""

from __future__ import annotations

from typing import Any

from aiortc import RTCCertificate
from OpenSSL import SSL

CIPHERS = b":".join(
    (
        b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
        b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA",  # up to here aiortc's own
        b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305",
    )
)


class Certificate(RTCCertificate):  # type: ignore[misc]  # aiortc has no types
    """A certificate of a connection; made anew for each one."""

    def _create_ssl_context(self, srtp_profiles: Any) -> SSL.Context:
        context: SSL.Context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


def use_for(connection: Any) -> None:
    """Let a connection of aiortc, which has no setting for it, use such a certificate."""
    connection._RTCPeerConnection__certificates = [Certificate.generateCertificate()]
