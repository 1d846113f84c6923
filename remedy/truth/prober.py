"""Many connections at once from one network namespace, and what became of each."""

from __future__ import annotations

import errno
import re
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from remedy.facts.model import Address, Protocol
from remedy.host.namespaces import run_in_network_namespace
from remedy.paths.verdict import Failure
from remedy.spec.models import HostPort

MOST_AT_ONCE = 48
# Twice, and together less than the three seconds after which the kernel gives up on a neighbour.
PATIENCE_SECONDS = (1.0, 1.6)
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_ANSWER = re.compile(rb"name=(\S+) src=(\S*)(?: sport=(\d+))?")
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EACCES, errno.EINVAL}
# What would hide a refusal, or make a silence an error: replies are rationed, neighbours are given up.
_UNHURRIED = {
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
    "ipv4/icmp_msgs_per_sec": "100000",
    "ipv4/icmp_msgs_burst": "100000",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of a connection. server_port: the client's port as the server saw it."""

    ok: bool
    by: str | None = None
    source: Address | None = None
    failure: Failure | None = None
    error: str = ""
    client: Address | None = None
    client_port: int = 0
    server_port: int | None = None


@dataclass(slots=True)
class _Try:
    number: int
    to: HostPort
    channel: socket.socket
    until: float
    is_connected: bool = False
    received: bytes = b""
    seen: Seen | None = field(default=None)


def probe(pid: int, questions: Sequence[HostPort], source: Address | None = None) -> list[Seen]:
    """Make every connection from the namespace of a process; those that got no answer once more, more patiently."""
    return run_in_network_namespace(pid, lambda: _probe(questions, source))


def let_errors_through(pid: int) -> None:
    """Set what would hide a refusal, or turn a silence into an error, in the namespace of a process."""
    run_in_network_namespace(pid, _let_errors_through)


def _let_errors_through() -> None:
    # /proc/sys/net is that of the thread that looks.
    root = Path("/proc/sys/net")
    for name, value in _UNHURRIED.items():
        with suppress(OSError):
            (root / name).write_text(value)
    for family in ("ipv4", "ipv6"):
        for setting in (root / family / "neigh").glob("*/mcast_solicit"):
            with suppress(OSError):
                setting.write_text("30")


def _probe(questions: Sequence[HostPort], source: Address | None) -> list[Seen]:
    found: dict[int, Seen] = {}
    for patience in PATIENCE_SECONDS:
        left = [n for n in range(len(questions)) if n not in found or found[n].failure == "no-answer"]
        for start in range(0, len(left), MOST_AT_ONCE):
            found |= _round(left[start : start + MOST_AT_ONCE], questions, source, patience)
    return [found[n] for n in range(len(questions))]


def _round(
    numbers: Sequence[int], questions: Sequence[HostPort], source: Address | None, patience: float
) -> dict[int, Seen]:
    with selectors.DefaultSelector() as selector:
        tries = [one for n in numbers for one in _begin(n, questions[n], source, patience, selector)]
        waiting = {one.number for one in tries if one.seen is None}
        while waiting:
            rest = max(one.until for one in tries if one.number in waiting) - time.monotonic()
            if rest <= 0:
                break
            for key, _ in selector.select(rest):
                one: _Try = key.data
                _go_on(one, selector)
                if one.seen is not None:
                    waiting.discard(one.number)
        return {one.number: _ended(one) for one in tries}


def _begin(
    number: int, to: HostPort, source: Address | None, patience: float, selector: selectors.BaseSelector
) -> Iterator[_Try]:
    family = socket.AF_INET if to.address.version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if to.protocol is Protocol.TCP else socket.SOCK_DGRAM
    one = _Try(number, to, socket.socket(family, kind), time.monotonic() + patience)
    one.channel.setblocking(False)
    try:
        if source is not None and source.version == to.address.version:
            one.channel.bind((str(source), 0))
        status = one.channel.connect_ex((str(to.address), to.port))
        if status not in (0, errno.EINPROGRESS):
            one.seen = _failed(one, status)
        elif to.protocol is Protocol.UDP:
            one.is_connected = True
            _send(one)
    except OSError as error:
        one.seen = _failed(one, error.errno or 0)
    if one.seen is None:
        event = selectors.EVENT_READ if one.is_connected else selectors.EVENT_WRITE
        selector.register(one.channel, event, one)
    yield one


def _send(one: _Try) -> None:
    try:
        one.channel.send(REQUEST)
    except OSError as error:
        # A rule in OUTPUT that drops tells a datagram's sender so (EPERM); a TCP client only waits.
        if error.errno != errno.EPERM:
            raise


def _go_on(one: _Try, selector: selectors.BaseSelector) -> None:
    try:
        if not one.is_connected:
            status = one.channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if status:
                raise OSError(status, "")
            one.is_connected = True
            one.channel.send(REQUEST)
            selector.modify(one.channel, selectors.EVENT_READ, one)
            return
        data = one.channel.recv(4096)
    except BlockingIOError:
        return
    except OSError as error:
        one.seen = _failed(one, error.errno or 0)
    else:
        one.received += data
        one.seen = _answered(one, at_end=not data)
    if one.seen is not None:
        selector.unregister(one.channel)


def _answered(one: _Try, *, at_end: bool) -> Seen | None:
    found = _ANSWER.search(one.received)
    # The whole line, or the end: a source cut short would be another one.
    if found is not None and (at_end or b"\n" in one.received[found.start() :]):
        address = ip_address(found[2].decode().strip("[]"))
        plain = address.ipv4_mapped or address if address.version == 6 else address
        port = int(found[3]) if found[3] else None
        own, own_port = one.channel.getsockname()[:2]
        return Seen(True, found[1].decode(), plain, None, "", ip_address(own), own_port, port)
    if at_end:
        return Seen(False, failure="refused", error="closed without an answer")
    return None


def _failed(_one: _Try, status: int) -> Seen:
    name = errno.errorcode.get(status, str(status))
    if status in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
        return Seen(False, failure="refused", error=name)
    if status in (errno.ETIMEDOUT, errno.EPERM):
        return Seen(False, failure="no-answer", error=name)
    if status in _UNREACHABLE:
        return Seen(False, failure="unreachable", error=name)
    return Seen(False, failure="unreachable", error=f"unexpected {name}")


def _ended(one: _Try) -> Seen:
    own: tuple[str, int] = ("", 0)
    with suppress(OSError):
        own = one.channel.getsockname()[:2]
    one.channel.close()
    if one.seen is not None:
        return one.seen
    connected = "connected, then silence" if one.is_connected and one.to.protocol is Protocol.TCP else "silence"
    client = ip_address(own[0]) if own[0] else None
    return Seen(False, failure="no-answer", error=connected, client=client, client_port=own[1])
