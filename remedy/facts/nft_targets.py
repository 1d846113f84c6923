"""Where the rules of nf_tables lead, over netlink, without any program: chains by family, and their rules' targets."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from remedy.facts.netlink import NETLINK_NETFILTER, attributes, dump, is_interrupted, messages

# linux/netfilter/nf_tables.h
_GET_CHAIN, _GET_RULE = (10 << 8) | 4, (10 << 8) | 7
_ANY_FAMILY = b"\0\0\0\0"
_NFGENMSG_BYTES = 4
_CHAIN_TABLE, _CHAIN_NAME = 1, 3
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_IMMEDIATE_DATA, _DATA_VERDICT, _VERDICT_CODE, _VERDICT_CHAIN = 2, 2, 1, 2
_VERDICTS = {b"\0\0\0\1": "ACCEPT", b"\0\0\0\0": "DROP", b"\xff\xff\xff\xfb": "RETURN"}
INET, IPV4 = 1, 2  # NFPROTO_*
_WITHOUT_NF_TABLES = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)  # a kernel that has none


_ATTEMPTS = 5


class _ChangedError(Exception):
    """The rules changed while they were dumped: some may be missing."""


@dataclass(frozen=True, slots=True)
class ChainPlace:
    """family: NFPROTO_*."""

    family: int
    table: str
    chain: str


def read_nft_targets() -> dict[ChainPlace, tuple[str, ...]]:
    """Each chain of the calling thread's network namespace, with its rules' targets in order.

    A target is a chain, ACCEPT, DROP, RETURN, or "" for anything else. Raises OSError, also when they change faster
    than they can be read.
    """
    for _ in range(_ATTEMPTS):
        try:
            return _read()
        except _ChangedError:
            continue
    raise OSError(errno.EAGAIN, "the rules change faster than they can be read")


def _read() -> dict[ChainPlace, tuple[str, ...]]:
    found: dict[ChainPlace, list[str]] = {}
    for family, values in _dumped(_GET_CHAIN):
        found[ChainPlace(family, _text(values[_CHAIN_TABLE]), _text(values[_CHAIN_NAME]))] = []
    for family, values in _dumped(_GET_RULE) if found else ():
        place = ChainPlace(family, _text(values[_RULE_TABLE]), _text(values[_RULE_CHAIN]))
        found.setdefault(place, []).append(target_of(values.get(_RULE_EXPRESSIONS, b"")))
    return {place: tuple(targets) for place, targets in found.items()}


def target_of(expressions: bytes) -> str:
    """Where a rule with these packed expressions leads."""
    return next(filter(None, (_verdict(data) for _, data in attributes(expressions, 0))), "")


def _dumped(kind: int) -> Iterator[tuple[int, dict[int, bytes]]]:
    try:
        yield from _messages(kind)
    except OSError as error:
        if error.errno not in _WITHOUT_NF_TABLES:
            raise


def _messages(kind: int) -> Iterator[tuple[int, dict[int, bytes]]]:
    for datagram in dump(NETLINK_NETFILTER, kind, _ANY_FAMILY):
        if is_interrupted(datagram):
            raise _ChangedError
        for message in messages(datagram):
            yield message[0], dict(attributes(message, _NFGENMSG_BYTES))


def _verdict(expression: bytes) -> str:
    parts = dict(attributes(expression, 0))
    if parts.get(_EXPRESSION_NAME) != b"immediate\0":
        return ""
    data = dict(attributes(parts.get(_EXPRESSION_DATA, b""), 0)).get(_IMMEDIATE_DATA, b"")
    verdict = dict(attributes(dict(attributes(data, 0)).get(_DATA_VERDICT, b""), 0))
    if _VERDICT_CHAIN in verdict:
        return _text(verdict[_VERDICT_CHAIN])
    return _VERDICTS.get(verdict.get(_VERDICT_CODE, b""), "")


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
