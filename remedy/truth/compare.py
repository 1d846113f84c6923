"""The model's verdict beside what happened, connection by connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from remedy.facts.model import HostFacts
from remedy.paths.clients import CONTAINER_PREFIX
from remedy.paths.journey import FACTS_DO_NOT_SAY
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.truth.conntrack import Entries
from remedy.truth.outside import CLIENT, CLIENT6
from remedy.truth.prober import Seen
from remedy.truth.questions import EXTERNAL, HOST, Question

DOCKER_PROXY = "docker-proxy"


@dataclass(frozen=True, slots=True)
class Cell:
    """One connection with both answers. entries None: they cannot be told. differences: empty when all agrees."""

    question: Question
    bridge_nf: str
    verdict: Verdict
    seen: Seen
    by_proxy: bool
    entries: int | None
    differences: tuple[str, ...]

    @property
    def is_unknown(self) -> bool:
        """The model does not say."""
        return self.verdict.reachable is None

    @property
    def is_wrong(self) -> bool:
        """The model says something else than the kernel."""
        return not self.is_unknown and bool(self.differences)


def compare(facts: HostFacts, questions: Sequence[Question], seen: Sequence[Seen], entries: Entries) -> Iterator[Cell]:
    """Ask the model every question on these facts."""
    datapath = Datapath(facts)
    host = next(space for space in facts.namespaces if space.is_host)
    own = {found.address.ip for found in host.addresses}
    in_host = {container.name for container in facts.containers if container.id in host.containers} | {HOST, "outside"}
    for question, one in zip(questions, seen, strict=True):
        source = question.source if question.source in (HOST, EXTERNAL) else CONTAINER_PREFIX + question.source
        verdict = datapath.connect(source, question.to, client_address=question.client, interface=question.interface)
        if verdict.by == "outside" and question.to.address not in (CLIENT, CLIENT6):
            continue  # it leaves the host for a machine that is not there
        if FACTS_DO_NOT_SAY in (verdict.unknown_because or ""):
            continue  # it hangs on what another machine does
        to = question.to
        client = entries.of_client(to.protocol.value, one, to.address, to.port)
        goes_to_host = to.address in own or (to.address.is_loopback and question.source == HOST)
        is_translated = any(entry.answers != to.address for entry in client)
        by_proxy = one.ok and goes_to_host and not is_translated and one.by not in in_host
        count = _entries(one, client_count=len(client), proxy_count=len(entries.of_proxy(to.protocol.value, one)))
        if by_proxy and one.server_port is None:
            count = None
        cell = Cell(
            question,
            facts.sysctls.get("net.bridge.bridge-nf-call-iptables", "?"),
            verdict,
            one,
            by_proxy,
            count,
            tuple(_differences(verdict, one, count, by_proxy=by_proxy)),
        )
        yield cell


def _entries(seen: Seen, *, client_count: int, proxy_count: int) -> int | None:
    return client_count + proxy_count if seen.ok else None


def _differences(verdict: Verdict, seen: Seen, entries: int | None, *, by_proxy: bool) -> Iterator[str]:
    if verdict.reachable != seen.ok:
        yield f"reachable: the model says {verdict.reachable}, in truth {seen.ok}"
        return
    if not seen.ok:
        if verdict.failure != seen.failure:
            yield f"failure: the model says {verdict.failure}, in truth {seen.failure} ({seen.error})"
        return
    pairs: list[tuple[str, object, object]] = [
        ("by", verdict.by, seen.by),
        ("source", verdict.source_seen, seen.source),
        ("by docker-proxy", verdict.via == DOCKER_PROXY, by_proxy),
    ]
    if entries is not None:
        pairs.append(("conntrack entries", verdict.conntrack_entries, entries))
    yield from (f"{what}: the model says {model}, in truth {truth}" for what, model, truth in pairs if model != truth)
