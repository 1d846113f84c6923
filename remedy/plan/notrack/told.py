"""What the operator should know of notrack although it does not forbid it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.facts.model import Container, HostFacts
from remedy.firewall.ruleset import UntrackedPair
from remedy.paths.consumers import Consumer
from remedy.paths.topology import BRIDGE_NETFILTER
from remedy.paths.walk import Datapath, with_bridge_netfilter
from remedy.plan.model import PlanWarning

SHOWN = 4
WITHOUT_ICC = {"com.docker.network.bridge.enable_icc": "false"}


def not_needed(pairs: Sequence[UntrackedPair]) -> PlanWarning:
    """Bridge netfilter is off for this family."""
    setting = BRIDGE_NETFILTER[pairs[0].family]
    return PlanWarning(
        code="notrack-not-needed",
        what=f"notrack adds nothing for {len(pairs)} pair{'s' * (len(pairs) > 1)}: {setting} is 0",
        detail="what stays on a bridge does not reach conntrack then. The engine sets it to 1 when it starts without "
        "the userland proxy, or for a network without icc: plan again after that",
    )


def not_running(name: str) -> PlanWarning:
    """Without a running container there are no addresses."""
    return PlanWarning(
        code="notrack-load-balancer-stopped",
        what=f"notrack does nothing while {name} does not run",
        detail="the rules name its address, and it has none; start it, then plan again",
    )


def choice(facts: HostFacts, path: Datapath, consumers: Sequence[Consumer]) -> Iterator[PlanWarning]:
    """Bridge netfilter is on, most likely because the userland proxy is off: switching it off would do, too."""
    if facts.engine.userland_proxy is not False:
        return
    ended = list(dict.fromkeys(_ended(facts, path, consumers)))
    closed = [network.name for network in facts.networks if network.options.items() >= WITHOUT_ICC.items()]
    parts = [f"known connections that would end: {_few(ended)}"] if ended else []
    parts += [f"networks whose containers are kept apart by rules: {_few(closed)}"] if closed else []
    yield PlanWarning(
        code="notrack-or-bridge-nf",
        what="net.bridge.bridge-nf-call-iptables is 1, which the engine needs without the userland proxy: notrack "
        "takes these pairs out and leaves it on",
        detail="with 0 nothing on any bridge would be tracked, without a rule; but then containers no longer reach "
        "published ports of their own network by a host address (the answer passes by the translation), icc: false "
        "is not enforced, and the engine sets it to 1 again at its next start. "
        + ("; ".join(parts) if parts else "No known connection depends on it today")
        + ". remedy explain notrack",
    )


def own_rules_inside(containers: Sequence[Container]) -> Iterator[PlanWarning]:
    """Nobody knows what these rules are for: they may ask for a connection's state."""
    if containers:
        yield PlanWarning(
            code="notrack-own-rules",
            what=f"the own conntrack tables of {_few([c.name for c in containers])} are left as they are",
            detail="there are firewall rules in their namespaces that are not the engine's, and these may need it",
        )


def own_published_port(pair: UntrackedPair, to: str) -> PlanWarning:
    """The one thing that ends with a pair: its client's own use of the published port by DNAT."""
    return PlanWarning(
        code="notrack-own-published-port",
        what=f"{pair.client} will not reach {pair.server} at {to} any more",
        detail="the answers are those of the untracked pair, so nothing translates them back; nobody is known to use "
        "this way. Others reach the published port as before",
    )


def _ended(facts: HostFacts, path: Datapath, consumers: Sequence[Consumer]) -> Iterator[str]:
    off = Datapath(with_bridge_netfilter(facts, on=False))
    for consumer in consumers:
        if consumer.is_outside:
            continue  # what comes from another machine is routed, not bridged
        works = path.connect(consumer.source, consumer.to).reachable
        if works and off.connect(consumer.source, consumer.to).reachable is False:
            yield f"{consumer.name} -> {consumer.to}"


def _few(items: Sequence[str]) -> str:
    rest = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
