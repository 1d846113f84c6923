"""The questions of a capture and, where it was measured, the truth: `truth.json` as types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from remedy.captures.files import TRUTH, CaptureFiles
from remedy.errors import InputError
from remedy.facts.model import Address, Protocol
from remedy.spec.models import HostPort

SAME = "same"


class BridgeNf(StrEnum):
    """How bridge-nf-call-iptables and -ip6tables were set: both 1, or both 0."""

    ON = "nf1"
    OFF = "nf0"


class Failure(StrEnum):
    """How a connection fails, as far as the client can tell."""

    NO_ANSWER = "no-answer"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


# The clients outside, where a capture does not name them: the network was the same for all.
EXTERNAL = {"external": "10.98.0.254 / fd98::254", "external2": "10.98.0.66"}
# The errors of truth.json by what they have in common.
FAILURES = {
    "timeout": Failure.NO_ANSWER,
    "refused": Failure.REFUSED,
    "net-unreachable": Failure.UNREACHABLE,
    "host-unreachable": Failure.UNREACHABLE,
    "no-address": Failure.UNREACHABLE,
}
ERRORS = {Failure.NO_ANSWER: "timeout", Failure.REFUSED: "refused", Failure.UNREACHABLE: "net-unreachable"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a connection. ok None: it cannot be told (an answer's), reason says why.

    by: the server's name; source: the client's address as the server saw it; by_proxy: docker-proxy accepted it.
    conntrack_entries None: nothing is said of them.
    """

    ok: bool | None
    by: str | None = None
    source: Address | None = None
    by_proxy: bool = False
    failure: Failure | None = None
    conntrack_entries: int | None = None
    reason: str | None = None

    def agrees_with(self, other: Outcome) -> bool:
        """Whether all is the same that a client and a server notice."""
        mine = (self.ok, self.by, self.source, self.by_proxy, self.failure)
        return mine == (other.ok, other.by, other.source, other.by_proxy, other.failure)


@dataclass(frozen=True, slots=True)
class Question:
    """One connection: who connects where, and how bridge-nf is set."""

    capture: str
    cell: str
    bridge_nf: BridgeNf
    source: str
    to: HostPort


@dataclass(frozen=True, slots=True)
class Cell:
    """A question with both settings of bridge-nf; truth is empty where it was not measured or is not told."""

    questions: tuple[Question, ...]
    truth: Mapping[BridgeNf, Outcome]


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """All cells of a capture. external: the addresses of the clients outside, by the name they go by."""

    cells: tuple[Cell, ...]
    external: Mapping[str, tuple[Address, ...]]
    is_scored: bool


def read_questions(files: CaptureFiles) -> Questionnaire:
    """Read `truth.json`. Raises InputError when it is not what it should be."""
    document = files.document(TRUTH)
    if document is None:
        raise InputError("the capture has no questions", where=f"{files.name}/{TRUTH}")
    try:
        cells = tuple(_cell(files.name, item) for item in document["cells"])
        external = {
            name: tuple(_addresses(text)) for name, text in document.get("meta", {}).get("external", {}).items()
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError("these are not questions", where=f"{files.name}/{TRUTH}", why=repr(error)) from error
    return Questionnaire(cells, external, is_scored=any(cell.truth for cell in cells))


def _cell(capture: str, item: Mapping[str, Any]) -> Cell:
    to = HostPort(address=ip_address(item["addr"]), port=item["port"], protocol=Protocol(item["proto"]))
    questions = tuple(Question(capture, item["id"], setting, item["from"], to) for setting in BridgeNf)
    on, off = item.get(BridgeNf.ON), item.get(BridgeNf.OFF, SAME)
    if not on:
        return Cell(questions, {})
    truth = _outcome(on)
    # "same" is said of what client and server notice, not of conntrack.
    other = replace(truth, conntrack_entries=None) if off == SAME else _outcome(off)
    return Cell(questions, {BridgeNf.ON: truth, BridgeNf.OFF: other})


def _outcome(result: Mapping[str, Any]) -> Outcome:
    if not result["ok"]:
        return Outcome(ok=False, by_proxy=result.get("proxy", False), failure=FAILURES.get(str(result.get("err"))))
    source = _plain(ip_address(result["src"]))
    # No `ct`: the host's table had none, as for a container's own loopback.
    entries = len(result.get("ct", ()))
    return Outcome(True, result["by"], source, result.get("proxy", False), conntrack_entries=entries)


def _plain(address: Address) -> Address:
    # A server on a socket of both families sees an IPv4 client as ::ffff:a.b.c.d.
    return (address.ipv4_mapped or address) if address.version == 6 else address


def _addresses(text: str) -> Iterator[Address]:
    """Read "10.98.0.254 / fd98::254"."""
    return (ip_address(part.strip()) for part in text.split("/"))
