"""The engine's own rules for a new internal network, and for an endpoint on one that leads out.

Internal: neighbours talk freely, nothing comes in, nothing goes out.

Seen on 20.10, 26.1 and 28.5; of 29, whose recordings have no internal network, from its source (moby,
libnetwork/drivers/bridge/internal/iptabler and nftabler, network.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remedy.facts.model import Address, FirewallFacts, HostFacts, IptablesTables, Network, Subnet
from remedy.firewall.saved_edit import EditableRules
from remedy.paths.engine_bridges import ENGINE_TABLES, engine_variant
from remedy.paths.engine_versions import drops_direct_access

Json = Any  # nft's JSON: objects, arrays, text, numbers
_ISOLATION = ("DOCKER-INTERNAL", "DOCKER-ISOLATION-STAGE-1")  # from 29; before
_FORWARD_SINCE_28 = "DOCKER-FORWARD"
_DIRECT = re.compile(r"-A PREROUTING -d \S+ ! -i \S+ -j DROP")
_USER, _ISOLATION_JUMP = "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1"


def with_internal_network(facts: HostFacts, bridge: str, subnets: Sequence[Subnet]) -> FirewallFacts:
    """The host's rules once an internal network with this bridge has been made."""
    variant = engine_variant(facts)
    tables = tuple(
        _in_iptables(saved, bridge, subnets) if saved.variant == variant else saved for saved in facts.firewall.tables
    )
    known = facts.firewall.nft_json
    own = {
        title: [*_in_nft(known[title], bridge)]
        for family, title in ENGINE_TABLES.items()
        if title in known and any(subnet.version == family for subnet in subnets)
    }
    return facts.firewall.model_copy(update={"tables": tables, "nft_json": {**known, **own}})


def with_endpoint(facts: HostFacts, network: Network, address: Address) -> FirewallFacts:
    """The host's rules once a container has this address on a network.

    From 28.2 on nobody but neighbours reaches it past the published ports; on an internal network nobody did anyway.
    """
    if network.internal or not drops_direct_access(facts.engine.version_tuple):
        return facts.firewall
    variant = engine_variant(facts)
    tables = tuple(
        _without_direct_access(saved, network.bridge or "", address)
        if (saved.variant, saved.family) == (variant, address.version)
        else saved
        for saved in facts.firewall.tables
    )
    return facts.firewall.model_copy(update={"tables": tables})


def _without_direct_access(saved: IptablesTables, bridge: str, address: Address) -> IptablesTables:
    rules = EditableRules(saved.text)
    known = rules.rules("raw", "PREROUTING")
    # An engine or a network that allows it has no such rule for its other containers either.
    if not any(_DIRECT.fullmatch(rule) for rule in known):
        return saved
    drop = f"-A PREROUTING -d {address}/{address.max_prefixlen} ! -i {bridge} -j DROP"
    rules.put("raw", "PREROUTING", (*known, drop))
    return saved.model_copy(update={"text": rules.text})


def _in_iptables(saved: IptablesTables, bridge: str, subnets: Sequence[Subnet]) -> IptablesTables:
    rules = EditableRules(saved.text)
    isolation = next((chain for chain in _ISOLATION if rules.has_chain("filter", chain)), None)
    own = [subnet for subnet in subnets if subnet.version == saved.family]
    if isolation is None or not own:
        return saved  # the engine writes no rules of this family (ip6tables: false), or has no address of it here
    drops = [rule for subnet in own for rule in _drops(isolation, bridge, subnet)]
    rules.put("filter", isolation, (*drops, *rules.rules("filter", isolation)))
    forward = [rule for rule in rules.rules("filter", "FORWARD") if rule not in (_USER, _ISOLATION_JUMP)]
    jumps = [rule for rule in (_USER, _ISOLATION_JUMP) if rule in rules.rules("filter", "FORWARD")]
    if rules.has_chain("filter", _FORWARD_SINCE_28):
        accept = f"-A {_FORWARD_SINCE_28} -i {bridge} -o {bridge} -j ACCEPT"
        rules.put("filter", _FORWARD_SINCE_28, (*rules.rules("filter", _FORWARD_SINCE_28), accept))
    else:
        forward = [f"-A FORWARD -i {bridge} -o {bridge} -j ACCEPT", *forward]
    # With every new network the jumps come to the top again, ahead of foreign rules.
    rules.put("filter", "FORWARD", (*jumps, *forward))
    return saved.model_copy(update={"text": rules.text})


def _drops(chain: str, bridge: str, subnet: Subnet) -> tuple[str, str]:
    # IPv6 is let pass between neighbours also by addresses of another subnet: link-local ones.
    into, out = (f"! -i {bridge} ", f"! -o {bridge} ") if subnet.version == 6 else ("", "")
    return (
        f"-A {chain} ! -s {subnet} {into}-o {bridge} -j DROP",
        f"-A {chain} ! -d {subnet} -i {bridge} {out}-j DROP",
    )


def _in_nft(items: Sequence[Json], bridge: str) -> Iterator[Json]:
    table: Json = next((item["table"] for item in items if "table" in item), {})
    place = {"family": table.get("family"), "table": table.get("name")}
    chains = {way: f"filter-forward-{way}__{bridge}" for way in ("in", "out")}
    for item in items:
        yield _with_jump(item, bridge, chains)
    for chain in chains.values():
        yield {"chain": {**place, "name": chain}}
    for way, chain in chains.items():
        key = {"meta": {"key": "iifname" if way == "in" else "oifname"}}
        tracked = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
        foreign = {"match": {"op": "!=", "left": key, "right": bridge}}
        yield {"rule": {**place, "chain": chain, "expr": [tracked, {"accept": None}]}}
        yield {"rule": {**place, "chain": chain, "expr": [foreign, {"drop": None}]}}
    yield {"rule": {**place, "chain": chains["in"], "expr": [{"accept": None}], "comment": "ICC"}}


def _with_jump(item: Json, bridge: str, chains: Mapping[str, str]) -> Json:
    """With the bridge in the two maps by which a frame finds its network's chains."""
    found = item.get("map", {})
    for way, chain in chains.items():
        if found.get("name") == f"filter-forward-{way}-jumps":
            elements = [*found.get("elem", []), [bridge, {"jump": {"target": chain}}]]
            return {"map": {**found, "elem": elements}}
    return item
