"""The hairpin remedy: own DNAT ahead of the engine's, to stay, without a restart of the engine."""

from __future__ import annotations

from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.firewall.writer import select_writer
from remedy.host.sysctls import conf_name
from remedy.plan.actions import Action, HairpinPort, RemoveRules, SetHairpinMode, SetSysctls, WriteRules
from remedy.plan.redirects import engine_bridges, hairpin_ruleset
from remedy.plan.selection import Selected
from remedy.spec.models import Spec


def has_rules(facts: HostFacts, name: RulesetName) -> bool:
    """Whether anything of that ruleset stands on the host."""
    return name in select_writer(facts.firewall.backend).present_names(facts.firewall)


def wanted_hairpin(spec: Spec, facts: HostFacts, selected: Selected, wants_proxy: bool | None) -> Ruleset | None:
    """The hairpin rules to have; without redirects: to remove; None: leave them as they are.

    wants_proxy: the userland proxy that the engine is switched to, None when it stays as it is.
    """
    options = spec.remedies.hairpin_options
    nothing = Ruleset(name="hairpin", redirects=(), engine_bridges=engine_bridges(facts))
    if not _proxy_after(facts, wants_proxy):
        # The engine's own rules serve these paths then; two owners of one path would only confuse.
        return nothing if spec.remedies.hairpin is not None or has_rules(facts, "hairpin") else None
    if spec.remedies.hairpin is None:
        return None
    return nothing if options is None else hairpin_ruleset(facts, selected.backend_ports, options)


def _proxy_after(facts: HostFacts, wanted: bool | None) -> bool:
    return facts.engine.userland_proxy is not False if wanted is None else wanted


def hairpin_actions(facts: HostFacts, wanted: Ruleset) -> tuple[Action, ...]:
    """Bring remedy's hairpin rules, and what they need, to `wanted` (no redirects: remove them)."""
    if not wanted.redirects:
        return (_remove(facts, wanted),) if has_rules(facts, wanted.name) else ()
    found = select_writer(facts.firewall.backend).differences(wanted, facts.firewall)
    needed = (
        _localnet(facts, wanted),
        _hairpin_mode(facts, wanted),
        _write(facts, wanted, found) if found else None,
    )
    return tuple(action for action in needed if action is not None)


def _write(facts: HostFacts, wanted: Ruleset, found: tuple[str, ...]) -> WriteRules:
    present = has_rules(facts, wanted.name)
    return WriteRules(
        id="hairpin_rules",
        summary=f"hairpin rules for {len(wanted.redirects)} published ports",
        reason="containers on the backends' own bridge reach the published ports by DNAT and masquerade instead of "
        "docker-proxy" + (f"; today: {found[0]}" if present else ""),
        before="rules of remedy that differ" if present else "no rules of remedy",
        after=", ".join(f"{r.port} -> {r.to_address}:{r.to_port}" for r in wanted.redirects[:8])
        + (" ..." if len(wanted.redirects) > 8 else ""),
        inverse="the rules as they were, in one transaction",
        ruleset=wanted,
        firewall_backend=facts.firewall.backend,
    )


def _remove(facts: HostFacts, wanted: Ruleset) -> RemoveRules:
    return RemoveRules(
        id="hairpin_rules",
        summary="remove the hairpin rules",
        reason="the spec says hairpin: false",
        before="own DNAT ahead of the engine's",
        after="no rules of remedy",
        inverse="write them again",
        ruleset=wanted,
        firewall_backend=facts.firewall.backend,
    )


def _localnet(facts: HostFacts, wanted: Ruleset) -> SetSysctls | None:
    names = [conf_name(bridge, "route_localnet") for bridge in wanted.guard_localnet]
    previous = {n: facts.sysctls[n] for n in names if facts.sysctls.get(n) not in (None, "1")}
    if not previous:
        return None
    return SetSysctls(
        id="route_localnet",
        summary=f"allow loopback traffic onto {', '.join(wanted.guard_localnet)}",
        reason="connections to 127.0.0.1 are DNATed only with route_localnet; a guard rule keeps neighbours out",
        before="route_localnet = 0",
        after="route_localnet = 1",
        inverse="write back 0",
        values=dict.fromkeys(previous, "1"),
        previous=previous,
    )


def _hairpin_mode(facts: HostFacts, wanted: Ruleset) -> SetHairpinMode | None:
    backends = {redirect.container for redirect in wanted.redirects}
    names = {c.id: c.name for c in facts.containers if c.name in backends}
    ports = tuple(
        HairpinPort(
            bridge=port.bridge,
            interface=port.interface,
            container=names[port.container_id],
            container_id=port.container_id,
            previous=False,
        )
        for port in facts.bridge_ports
        if port.container_id in names and not port.hairpin_mode
    )
    if not ports:
        return None
    return SetHairpinMode(
        id="hairpin_mode",
        summary=f"hairpin mode on for {len(ports)} bridge port{'s' * (len(ports) > 1)}",
        reason="a backend that uses its own published port goes out and in by the same bridge port",
        before="hairpin_mode = 0",
        after="hairpin_mode = 1",
        inverse="write back 0",
        ports=ports,
        bridges=tuple(sorted({port.bridge for port in ports})),
        userland_proxy_after_undo=True,
    )
