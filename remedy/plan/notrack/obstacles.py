"""When flows cannot be kept from conntrack: each refusal shows the rule that needs it, and what would cure it."""

from __future__ import annotations

from collections.abc import Iterable

from remedy.firewall.ruleset import UntrackedPair
from remedy.paths.telling import translations
from remedy.paths.verdict import Step, Verdict
from remedy.plan.model import Refusal
from remedy.plan.notrack.ways import Way
from remedy.plan.selection import BackendContainer

USER_NETWORK = "user_network: NAME leads the load balancer to its backends without NAT, in the same plan"


def no_load_balancer(unit: str | None) -> Refusal:
    """The spec names none, or one whose packets no bridge switches."""
    if unit is None:
        return Refusal(
            code="no-load-balancer",
            what="notrack needs a load balancer, and the spec names none",
            why="the rules are for pairs: this client's flows to that server's port, and nobody else's",
            cure="load_balancer: NAME of its container; `remedy init` proposes it",
        )
    return Refusal(
        code="load-balancer-on-host",
        what=f"{unit} runs on the host, and notrack is for a load balancer in a container",
        why="the host's own packets pass its NAT and its firewall by another way than those that a bridge switches",
        cure="leave notrack out",
    )


def protocol_not_covered(backend: BackendContainer) -> Refusal:
    """Not proved."""
    return Refusal(
        code="notrack-protocol",
        what=f"notrack is for TCP and UDP, and {backend.container.name} serves {backend.port}/{backend.protocol}",
        why="rules for other protocols have not been proved on a real host by this version",
        cure="leave this backend out, or notrack",
    )


def no_shared_network(balancer: str, backend: BackendContainer, ways: Iterable[Way], network: str | None) -> Refusal:
    """Whatever reaches it passes the host, where somebody translates it."""
    server = backend.container.name
    where = "share no network" if network is None else f"are not both on the network {network}"
    seen = next((f"; today {_way_words(way)}" for way in ways), "")
    return Refusal(
        code="notrack-no-shared-network",
        what=f"{balancer} and {server} {where}, so their flow cannot go untracked",
        why=f"between networks, and to published ports, packets are translated by conntrack{seen}",
        cure=USER_NETWORK if network is None else f"{USER_NETWORK}; or name another network in notrack",
    )


def translated_way(balancer: str, backend: BackendContainer, way: Way) -> Refusal:
    """The load balancer is configured to come by NAT, or by docker-proxy."""
    server = way.server
    return Refusal(
        code="notrack-nat",
        what=f"{balancer} reaches {backend.container.name} at {way.to} (server {server.proxy}/{server.name} at "
        f"{server.file}:{server.line}), and not by its own address",
        why=_way_words(way),
        cure=USER_NETWORK,
    )


def translated_pair(pair: UntrackedPair, verdict: Verdict) -> Refusal:
    """Somebody's rule translates what stays on the bridge."""
    steps = translations(verdict)
    return Refusal(
        code="notrack-nat",
        what=f"the flow from {pair.client} to {words(pair)} is translated on its way",
        why=_step_words(steps[0]) if steps else f"{pair.server} sees {verdict.source_seen}",
        cure="take that rule out, or let it leave the subnet's own traffic alone; or user_network: NAME, where it "
        "does not match",
    )


def not_reached(pair: UntrackedPair, verdict: Verdict) -> Refusal:
    """It does not work today, or the model does not know."""
    last = verdict.steps[-1] if verdict.steps else None
    return Refusal(
        code="notrack-unreachable" if verdict.reachable is False else "notrack-unknown",
        what=f"{pair.client} would not reach {words(pair)}"
        if verdict.reachable is False
        else f"it cannot be told how the flow from {pair.client} to {words(pair)} travels",
        why=verdict.unknown_because or (_step_words(last) if last else "no way there is known"),
        cure=f"docker exec {pair.client} ... shows whether it does; or user_network: NAME, on which the two are "
        "neighbours",
    )


def dropped_untracked(pair: UntrackedPair, verdict: Verdict) -> Refusal:
    """A rule lets pass what is ESTABLISHED, and drops the rest; it is none that remedy may overrule."""
    last = verdict.steps[-1] if verdict.steps else None
    return Refusal(
        code="notrack-dropped",
        what=f"the flow between {pair.client} and {words(pair)} would be dropped once conntrack does not see it",
        why=(_step_words(last) if last else "")
        + "; untracked packets are neither NEW nor ESTABLISHED, and remedy's accept does not overrule this rule",
        cure="accept them ahead of that rule, by address and port in both directions: -m conntrack --ctstate UNTRACKED",
    )


def words(pair: UntrackedPair) -> str:
    """The server's end, for people: `dev1-api-1:8080/tcp on remedy-lb`."""
    suffix = " (IPv6)" if pair.family == 6 else ""
    return f"{pair.server}:{pair.server_port}/{pair.protocol} on {pair.network}{suffix}"


def _way_words(way: Way) -> str:
    steps = translations(way.verdict)
    if way.verdict.via == "docker-proxy":
        proxy = next((step for step in way.verdict.steps if step.where.startswith("docker-proxy")), None)
        return f"by {_step_words(proxy)}" if proxy else "by docker-proxy"
    if steps:
        return f"by a rule: {_step_words(steps[0])}"
    return f"by {way.to}, {way.verdict.via}"


def _step_words(step: Step) -> str:
    return f"{step.where}: {step.what}" + (f" ({step.why})" if step.why else "")
