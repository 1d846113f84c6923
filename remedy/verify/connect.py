"""One real connection: TCP, or an HTTP GET, with what came of it."""

from __future__ import annotations

import http.client
import socket
import struct
import time
from dataclasses import dataclass

from remedy.spec.models import HostPort

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
# docker-proxy accepts before it has reached the container, and closes when it cannot: an end of file at once is
# a refusal in disguise. A server that waits for a request, or greets, is not closed within this time.
CLOSE_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the connection worked, what was seen, and how long it took."""

    worked: bool
    detail: str
    milliseconds: float


def connect(to: HostPort, http_path: str | None = None) -> Answer:
    """Try one connection from the calling thread's network namespace. Never raises."""
    began = time.monotonic()
    try:
        detail = _get(to, http_path) if http_path is not None else _open(to)
        worked = True
    except TimeoutError:
        worked, detail = False, "no answer"
    except (OSError, http.client.HTTPException) as error:
        worked, detail = False, getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Answer(worked, detail, round((time.monotonic() - began) * 1000, 1))


def _open(to: HostPort) -> str:
    with socket.create_connection((str(to.address), to.port), timeout=CONNECT_SECONDS) as channel:
        # Closed by a reset: a conntrack entry in TIME_WAIT would make the probe itself look like a consumer for the
        # next two minutes; one in CLOSE is gone after ten seconds, and is not taken for one.
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        channel.settimeout(CLOSE_SECONDS)
        try:
            first = channel.recv(1)
        except TimeoutError:
            return "connected"
        if not first:
            raise ConnectionError("closed at once")
        return "connected, greeted"


def _get(to: HostPort, path: str) -> str:
    client = http.client.HTTPConnection(str(to.address), to.port, timeout=ANSWER_SECONDS)
    try:
        client.request("GET", path, headers={"Host": str(to), "Connection": "close", "User-Agent": "remedy-probe"})
        status = client.getresponse().status
    finally:
        client.close()
    if status >= 500:
        raise ConnectionError(f"HTTP {status}")
    return f"HTTP {status}"
