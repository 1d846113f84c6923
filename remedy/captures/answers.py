"""The model's answers: a packet walk is built from a capture's facts, and asked every question of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from remedy.captures.facts import load_capture
from remedy.captures.files import CaptureFiles
from remedy.captures.questions import BridgeNf, Failure, Outcome, Question, Questionnaire
from remedy.errors import RemedyError
from remedy.facts.model import Address, HostFacts
from remedy.spec.models import HostPort

EXTERNAL = "external"
_BRIDGE_NF = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")


class Verdict(Protocol):
    """What is asked of a walk's answer."""

    @property
    def reachable(self) -> bool | None:
        """Whether the connection comes about; None: it cannot be told."""

    @property
    def by(self) -> str | None:
        """Who answers: a container's name, "host" or "outside"."""

    @property
    def source_seen(self) -> Address | None:
        """The client's address as the server sees it."""

    @property
    def userspace_copies(self) -> int:
        """How many docker-proxies copy the bytes."""

    @property
    def conntrack_entries(self) -> int:
        """How many entries the flow takes in the host's table."""

    @property
    def failure(self) -> str | None:
        """How it fails, by the values of questions.Failure."""

    @property
    def unknown_because(self) -> str | None:
        """Why it cannot be told."""


class Walk(Protocol):
    """What is asked of the model."""

    def connect(self, source: str, to: HostPort, *, client_address: Address | None = None) -> Verdict:
        """Walk a connection from a container, "host" or "external"."""


BuildWalk = Callable[[HostFacts], Walk]


@dataclass(frozen=True, slots=True)
class Answerer:
    """The walks of one capture, with bridge-nf on and off."""

    walks: Mapping[BridgeNf, Walk]
    external: Mapping[str, tuple[Address, ...]]

    def answer(self, question: Question) -> Outcome:
        """Ask the walk. A walk that breaks knows no answer, and the other questions go on."""
        try:
            return _outcome(self._connect(question))
        except Exception as error:  # a model that meets a host nobody thought of
            return Outcome(ok=None, reason=f"{type(error).__name__}: {error}")

    def _connect(self, question: Question) -> Verdict:
        walk = self.walks[question.bridge_nf]
        addresses = self.external.get(question.source)
        if addresses is None:
            return walk.connect(question.source, question.to)
        same_family = (address for address in addresses if address.version == question.to.address.version)
        return walk.connect(EXTERNAL, question.to, client_address=next(same_family, None))


def answers(
    files: CaptureFiles, questionnaire: Questionnaire, build: BuildWalk
) -> Iterator[tuple[tuple[Question, Outcome], ...]]:
    """Give the answers to each cell's questions. A capture that cannot be read is answered with "unknown"."""
    try:
        facts = load_capture(files)
        walks = {setting: build(with_bridge_nf(facts, setting)) for setting in BridgeNf}
    except Exception as error:
        reason = error.what if isinstance(error, RemedyError) else f"{type(error).__name__}: {error}"
        unknown = Outcome(ok=None, reason=reason)
        yield from (tuple((question, unknown) for question in cell.questions) for cell in questionnaire.cells)
        return
    answerer = Answerer(walks, questionnaire.external)
    for cell in questionnaire.cells:
        yield tuple((question, answerer.answer(question)) for question in cell.questions)


def with_bridge_nf(facts: HostFacts, setting: BridgeNf) -> HostFacts:
    """Return the facts of the same host with bridge-nf on or off for both families."""
    value = "1" if setting is BridgeNf.ON else "0"
    return facts.model_copy(update={"sysctls": {**facts.sysctls, **dict.fromkeys(_BRIDGE_NF, value)}})


def _outcome(verdict: Verdict) -> Outcome:
    if verdict.reachable is None:
        return Outcome(ok=None, reason=verdict.unknown_because)
    if not verdict.reachable:
        # By what a client notices: that a docker-proxy took it and could not go on is the same as no server.
        failure = Failure(verdict.failure) if verdict.failure else None
        return Outcome(ok=False, failure=failure, conntrack_entries=verdict.conntrack_entries)
    return Outcome(
        ok=True,
        by=verdict.by,
        source=verdict.source_seen,
        by_proxy=verdict.userspace_copies > 0,
        conntrack_entries=verdict.conntrack_entries,
    )
