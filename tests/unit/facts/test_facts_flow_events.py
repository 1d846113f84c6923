"""Announcements of new flows, as the kernel's bytes have them."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from ipaddress import ip_address

import pytest

from remedy.facts.conntrack import parse_losses
from remedy.facts.flow_events import FlowEvents, NewFlow, parse_event
from remedy.facts.model import ConntrackLosses, Protocol
from remedy.facts.processes import parse_cpu_ticks


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def event(source: str, to: str, port: int, protocol: int = 6) -> bytes:
    """A NEW message: header, nfgenmsg, the original tuple; what follows does not matter, and there is always more."""
    addresses = (ip_address(source), ip_address(to))
    first = 1 if addresses[0].version == 4 else 3
    ends = attribute(first, addresses[0].packed) + attribute(first + 1, addresses[1].packed)
    ports = attribute(1, bytes([protocol])) + attribute(2, b"\x9c\x40") + attribute(3, struct.pack("!H", port))
    body = attribute(0x8001, attribute(0x8001, ends) + attribute(0x8002, ports)) + bytes(40)
    family = socket.AF_INET if first == 1 else socket.AF_INET6
    message = struct.pack("=BBH", family, 0, 0) + body
    return struct.pack("=IHHII", 16 + len(message), 0x100, 0x600, 0, 0) + message


@pytest.mark.parametrize(("source", "to"), [("172.17.0.2", "172.17.0.1"), ("fd00::2", "::1")])
def test_an_announcement_tells_who_asked_whom(source, to):
    wanted = {struct.pack("!H", 5001)}
    key = (ip_address(source).packed, ip_address(to).packed, 6, 5001)
    assert parse_event(event(source, to, 5001), wanted) == key
    assert parse_event(event(source, to, 5002), wanted) is None


@pytest.mark.parametrize("datagram", [b"", bytes(50), bytes(200), event("172.17.0.2", "172.17.0.1", 5001)[:60]])
def test_what_is_something_else_is_nothing(datagram):
    assert parse_event(datagram, {struct.pack("!H", 5001)}) is None


def test_announcements_are_counted_and_a_lost_one_is_remembered(monkeypatch):
    class Channel:
        def __init__(self) -> None:
            self.left = [event("172.17.0.2", "172.17.0.1", 5001)] * 3 + [OSError(105, "no buffer space")]
            self.left.append(event("172.17.0.2", "172.17.0.1", 5001, protocol=47))

        def setsockopt(self, *_):
            raise OSError(1, "not permitted")

        def bind(self, _address):
            pass

        def recv(self, _size):
            if not self.left:
                raise BlockingIOError
            item = self.left.pop(0)
            if isinstance(item, OSError):
                raise item
            return item

    monkeypatch.setattr("remedy.facts.flow_events.socket.socket", lambda *_: Channel())
    events = FlowEvents()
    flow = NewFlow(Protocol.TCP, ip_address("172.17.0.2"), ip_address("172.17.0.1"), 5001)
    assert events.read({5001}) == Counter({flow: 3})
    assert not events.is_complete


def test_what_conntrack_refused_is_read_by_the_columns_names():
    text = (
        "entries searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error\n"
        "0000000a 00000000 00 00 00 00 00 00 00 00000003 00000010 00000001 00\n"
        "0000000a 00000000 00 00 00 00 00 00 00 00000001 00000001 00000000 00\n"
    )
    assert parse_losses(text) == ConntrackLosses(drop=17, early_drop=1, insert_failed=4)
    assert parse_losses("entries searched\n0 0\n") is None


def test_processor_time_is_that_of_the_process_and_of_the_kernel_for_it():
    assert parse_cpu_ticks("7 (a b) S) S 1 7 7 0 -1 4194560 1 0 0 0 120 34 5 6 20 0 9 0 777 1 1") == 154
