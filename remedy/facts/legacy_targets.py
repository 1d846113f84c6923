"""Where the IPv4 rules of iptables-legacy lead, by two getsockopts a table, without any program.

A program would have to be started for each container's namespace. A table's bytes are the kernel's own
(linux/netfilter_ipv4/ip_tables.h, the same since 2.6 on every 64-bit machine).
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LISTING = Path("/proc/thread-self/net/ip_tables_names")

_GET_INFO, _GET_ENTRIES = 64, 65  # IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES
_INFO = struct.Struct("=32sI5I5III")  # struct ipt_getinfo: name, valid hooks, entries, underflows, number, bytes
_ENTRIES_HEADER = struct.Struct("=32sI4x")  # struct ipt_get_entries
_ENTRY = struct.Struct("=88xHH20x")  # struct ipt_entry: where its target stands, and the next entry
_TARGET = struct.Struct("=H29sB")  # struct xt_entry_target
_VERDICT = struct.Struct("=i")
_ATTEMPTS = 5
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_CHAIN_HEAD, _STANDARD = "ERROR", ""
_NAMES = {-1: "DROP", -2: "ACCEPT", -5: "RETURN"}  # -NF_x - 1; XT_RETURN


@dataclass(frozen=True, slots=True)
class _Entry:
    offset: int
    end: int
    target: str
    data: bytes


def read_legacy_targets() -> dict[tuple[str, str], tuple[str, ...]]:
    """(table, chain) of the calling thread's network namespace, with its rules' targets in order.

    A target is a chain's or an extension's name. Tables that nobody has made stay unmade. Raises OSError.
    """
    try:
        tables = LISTING.read_text().split()
    except FileNotFoundError:
        return {}  # the kernel has no ip_tables, or it is not loaded
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    if not tables:
        return found
    with socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW) as channel:
        for table in tables:
            for chain, targets in _read_quiet(channel.fileno(), table):
                found[table, chain] = targets
    return found


def _read_quiet(descriptor: int, table: str) -> list[tuple[str, tuple[str, ...]]]:
    """The kernel says EAGAIN when the table has changed since it told its size."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return list(_read(descriptor, table))
        except BlockingIOError:
            if attempt == _ATTEMPTS:
                raise
    return []


def _read(descriptor: int, table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    info = _asked(descriptor, _GET_INFO, _INFO.pack(table.encode(), *[0] * 13), _INFO.size)
    _, valid, *rest = _INFO.unpack(info)
    entries, size = rest[:5], rest[-1]
    request = _ENTRIES_HEADER.pack(table.encode(), size)
    raw = _asked(descriptor, _GET_ENTRIES, request, _ENTRIES_HEADER.size + size)[_ENTRIES_HEADER.size :]
    heads = {entries[hook]: name for hook, name in enumerate(_HOOKS) if valid & (1 << hook)}
    yield from chains_of(raw, heads)


def chains_of(raw: bytes, heads: dict[int, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each chain of a table's entries with its rules' targets; heads: where the built-in chains begin.

    The last entry of a chain is its policy, or the way back, and no rule; that of the table says that it is the end.
    """
    found = list(_entries(raw))
    begins = dict(heads)
    for entry in found:
        if entry.target == _CHAIN_HEAD:
            begins[entry.end] = _text(entry.data)
    chain, targets = "", list[str]()
    for entry in found:
        if chain and (entry.target == _CHAIN_HEAD or entry.offset in begins):
            yield chain, tuple(targets[:-1])
            chain, targets = "", []
        if entry.target == _CHAIN_HEAD:
            continue
        chain = begins.get(entry.offset, chain)
        targets.append(_led(entry, begins))


def _led(entry: _Entry, begins: dict[int, str]) -> str:
    if entry.target != _STANDARD:
        return entry.target
    (verdict,) = _VERDICT.unpack_from(entry.data)
    return _NAMES.get(verdict, "") if verdict < 0 else begins.get(verdict, "")


def _entries(raw: bytes) -> Iterator[_Entry]:
    offset = 0
    while offset + _ENTRY.size <= len(raw):
        to_target, to_next = _ENTRY.unpack_from(raw, offset)
        if to_next < _ENTRY.size:
            return
        end = offset + to_next
        size, name, _ = _TARGET.unpack_from(raw, offset + to_target)
        start = offset + to_target
        yield _Entry(offset, end, _text(name), raw[start + _TARGET.size : start + size])
        offset = end


def _asked(descriptor: int, option: int, request: bytes, size: int) -> bytes:
    """getsockopt with a question in its buffer, which Python's own does not take. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(request, size)
    length = ctypes.c_uint32(size)
    if libc.getsockopt(descriptor, socket.SOL_IP, option, buffer, ctypes.byref(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw[: length.value]


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="replace")
