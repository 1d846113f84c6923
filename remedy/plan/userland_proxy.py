"""The userland proxy, switched off (or on again) make before break, as a list of actions.

The order is a palindrome around the restart, so that undoing it in reverse order is again make before break:

    sysctl, hairpin mode          what the engine itself would set, but sets too late or not at all
    write bridging rules          carry every path that the restart interrupts
    hold live-restore             daemon.json + SIGHUP: containers survive the restart
    userland proxy                daemon.json + restart
    release live-restore          explicit false + SIGHUP + final bytes
    remove bridging rules         the engine's own rules serve everything now

Measured on 20.10, 26.1 and 28.5, off and on again, with up to 64 published containers: no connection lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from remedy.facts.model import FirewallBackend, HostFacts
from remedy.firewall.iptables_rules import Family
from remedy.firewall.iptables_save import rules_of
from remedy.firewall.iptables_variant import Variant, saved_text
from remedy.firewall.ruleset import Ruleset
from remedy.host.sysctls import conf_name
from remedy.paths.engine_versions import leaves_masquerade
from remedy.paths.published import PublishedPort, connections_by_proxy
from remedy.plan.actions import (
    Action,
    Disruption,
    FileContent,
    HairpinPort,
    HoldLiveRestore,
    Leftover,
    ReleaseLiveRestore,
    RemoveRules,
    SetHairpinMode,
    SetSysctls,
    SwitchUserlandProxy,
    WriteRules,
)
from remedy.plan.daemon_json import with_values
from remedy.plan.engine_flags import configured, keeps_live_restore
from remedy.plan.redirects import bridging_ruleset, engine_bridges
from remedy.plan.refusals import proxy_is_configured

PROXY_KEY = "userland-proxy"
RESTORE_KEY = "live-restore"
NEW_FILE_MODE = 0o644
FAMILIES: tuple[Family, ...] = (4, 6)


@dataclass(frozen=True, slots=True)
class ProxyChange:
    """What the change of the userland proxy needs to know, gathered once."""

    facts: HostFacts
    ports: tuple[PublishedPort, ...]
    target: bool
    keeps_containers: bool  # live-restore holds them through the restart

    @property
    def is_held(self) -> bool:
        """Whether live-restore is on by the operator's own doing."""
        return keeps_live_restore(self.facts)

    def content(self, **values: bool) -> FileContent:
        """daemon.json with these keys set (dashes for underscores) and every other byte as it is."""
        raw = self.facts.daemon_json.raw
        keys = {name.replace("_", "-"): value for name, value in values.items()}
        return self._file(with_values(raw, keys) if keys else raw)

    def _file(self, raw: bytes | None) -> FileContent:
        known = self.facts.daemon_json
        return FileContent(
            path=known.path,
            raw=raw,
            mode=NEW_FILE_MODE if known.mode is None else known.mode,
            uid=known.uid or 0,
            gid=known.gid or 0,
        )

    @property
    def final(self) -> FileContent:
        """daemon.json as it will stay."""
        return self.content(userland_proxy=self.target)

    @property
    def held(self) -> FileContent:
        """daemon.json while live-restore is held, for a SIGHUP.

        userland-proxy is false in it whatever the target: 26 and later reject a SIGHUP as a whole while the
        file says true ("userland-proxy-path is not set"), and live-restore would not be on.
        """
        return self.content(userland_proxy=False, live_restore=True)

    @property
    def released(self) -> FileContent:
        """daemon.json for the SIGHUP that switches live-restore off: deleting the key would leave it on (28.5)."""
        return self.content(userland_proxy=False, live_restore=False)


def userland_proxy_actions(change: ProxyChange) -> tuple[Action, ...]:
    """The actions that bring the effective userland proxy and daemon.json to the target, in order."""
    if change.facts.engine.userland_proxy is change.target:
        return (_write_only(change),)
    if not change.keeps_containers:
        return (_switch(change, _no_rules(change), held=False),)
    ruleset = bridging_ruleset(change.facts, change.ports)
    held = not change.is_held
    actions: list[Action | None] = [
        _sysctls(change),
        _hairpin_mode(change),
        _bridge(change, ruleset) if ruleset.redirects else None,
        _hold(change) if held else None,
        _switch(change, ruleset, held=held),
        _release(change) if held else None,
        _unbridge(change, ruleset) if ruleset.redirects else None,
    ]
    return tuple(action for action in actions if action is not None)


def _no_rules(change: ProxyChange) -> Ruleset:
    return Ruleset(name="bridging", redirects=(), engine_bridges=engine_bridges(change.facts))


def _word(on: bool) -> str:
    return "on" if on else "off"


def _sysctls(change: ProxyChange) -> SetSysctls | None:
    names = [conf_name(b, "route_localnet") for b in sorted({p.bridge for p in change.ports if p.is_nat})]
    previous = {n: change.facts.sysctls[n] for n in names if change.facts.sysctls.get(n) not in (None, "1")}
    if not previous:
        return None
    return SetSysctls(
        id="route_localnet",
        summary=f"allow loopback traffic onto {_listed(list(previous))}",
        reason="the kernel drops packets from 127.0.0.1 that leave by a bridge unless route_localnet is 1; the "
        "engine sets it too, but only after it has taken docker-proxy away",
        before="route_localnet = 0",
        after="route_localnet = 1",
        inverse="write back 0",
        values=dict.fromkeys(previous, "1"),
        previous=previous,
    )


def _hairpin_mode(change: ProxyChange) -> SetHairpinMode | None:
    bridges = engine_bridges(change.facts)
    names = {c.id: c.name for c in change.facts.containers}
    ports = tuple(
        HairpinPort(
            bridge=p.bridge,
            interface=p.interface,
            container=names.get(p.container_id or "", p.interface),
            container_id=p.container_id or "",
            previous=p.hairpin_mode,
        )
        for p in change.facts.bridge_ports
        if p.bridge in bridges and not p.hairpin_mode
    )
    if not ports:
        return None
    return SetHairpinMode(
        id="hairpin_mode",
        summary=f"hairpin mode on for {len(ports)} bridge port{'s' * (len(ports) > 1)}",
        reason="a container that uses its own published port goes out and in by the same bridge port; the engine "
        "sets this only for containers that start after the change",
        before="hairpin_mode = 0",
        after="hairpin_mode = 1",
        inverse="write back 0",
        ports=ports,
        bridges=bridges,
        userland_proxy_after_undo=not change.target,
    )


def _bridge(change: ProxyChange, ruleset: Ruleset) -> WriteRules:
    return WriteRules(
        id="bridge",
        summary=f"bridging rules for {len(ruleset.redirects)} published ports",
        reason="while the engine restarts, its DNAT rules and docker-proxy are gone; these carry new connections",
        before="no rules of remedy",
        after="own DNAT ahead of the engine's, for the length of the restart",
        inverse="remove them in one transaction",
        ruleset=ruleset,
        firewall_backend=change.facts.firewall.backend,
    )


def _unbridge(change: ProxyChange, ruleset: Ruleset) -> RemoveRules:
    return RemoveRules(
        id="unbridge",
        summary="remove the bridging rules",
        reason="the engine's own rules serve every published port now; established connections keep their NAT",
        before="own DNAT ahead of the engine's",
        after="no rules of remedy",
        inverse="write them again",
        ruleset=ruleset,
        firewall_backend=change.facts.firewall.backend,
    )


def _hold(change: ProxyChange) -> HoldLiveRestore:
    return HoldLiveRestore(
        id="hold_live_restore",
        summary="live-restore on, by SIGHUP",
        reason="containers live through the engine's restart only with live-restore",
        before=f"live-restore {_word(change.facts.engine.live_restore)}",
        after="live-restore on",
        inverse="live-restore as it was, proved by `docker info`",
        path=change.facts.daemon_json.path,
        content=change.held,
        release_content=change.released,
        original=change.content(),
        effective_before=change.facts.engine.live_restore,
    )


def _release(change: ProxyChange) -> ReleaseLiveRestore:
    effective = change.facts.engine.live_restore
    return ReleaseLiveRestore(
        id="release_live_restore",
        summary=f"live-restore {_word(effective)} again, as it was",
        reason="it was switched on only for the restart",
        before="live-restore on",
        after=f"live-restore {_word(effective)}; daemon.json differs from the original only in userland-proxy",
        inverse="live-restore on, by SIGHUP",
        path=change.facts.daemon_json.path,
        release_content=change.released,
        final=change.final,
        hold_content=change.held,
        effective_after=effective,
    )


def _switch(change: ProxyChange, ruleset: Ruleset, *, held: bool) -> SwitchUserlandProxy:
    running = tuple(c.name for c in change.facts.containers if c.is_running)
    stops = () if change.keeps_containers else running
    temporary = {"live_restore": True} if held else {}
    # daemon.json may say the target already, and the engine has not read it: then the file as it was would not take
    # the engine back, and the setting has to be written for the restart.
    explicit = {"userland_proxy": not change.target} if proxy_is_configured(change.facts) is change.target else {}
    back = change.content(**explicit, **temporary)
    return SwitchUserlandProxy(
        id="userland_proxy",
        summary=f"userland-proxy {_word(change.target)}: daemon.json and a restart of the engine",
        reason="only a restart changes userland-proxy, in every version of the engine",
        before=f"userland-proxy {_word(not change.target)}, {len(change.facts.docker_proxies)} docker-proxy processes",
        after=f"userland-proxy {_word(change.target)}" + ("" if change.target else ", 0 docker-proxy processes"),
        inverse="daemon.json byte for byte as it was, and a restart of the engine, bridged likewise",
        disruption=_restart_cost(change, stops),
        path=change.facts.daemon_json.path,
        target=change.target,
        content=change.content(userland_proxy=change.target, **temporary),
        back_content=back,
        original=change.content(),
        ruleset=ruleset,
        firewall_backend=change.facts.firewall.backend,
        leftovers=_leftovers(change),
        sysctls_before=_sysctls_that_the_engine_changes(change),
        containers=running,
        live_restore=change.keeps_containers,
        held=held,
    )


def _restart_cost(change: ProxyChange, stops: tuple[str, ...]) -> Disruption:
    held = connections_by_proxy(change.facts)
    what = (
        "containers keep running; new connections are carried by the bridging rules; the connections that "
        f"docker-proxy holds end with it ({held} now), each with an orderly close; `docker` "
        "commands wait for the engine"
        if not stops
        else f"{len(stops)} containers stop and start again, as their restart policies say"
    )
    return Disruption(level="restart", containers=stops, what=what, seconds=3.0)


def _leftovers(change: ProxyChange) -> tuple[Leftover, ...]:
    """Rules that 20.10 leaves behind when the proxy comes back (moby 44721), if they are not there already."""
    facts = change.facts
    variant: Variant = "legacy" if facts.firewall.backend is FirewallBackend.IPTABLES_LEGACY else "nft"
    present = {
        (family, rule.text)
        for family in FAMILIES
        for rule in rules_of(saved_text(facts.firewall, family, variant), "nat", "POSTROUTING")
    }
    wanted = [leftover for bridge in engine_bridges(facts) for leftover in leftovers_of(facts, bridge)]
    return tuple(leftover for leftover in wanted if (leftover.family, leftover.rule) not in present)


def leftovers_of(facts: HostFacts, bridge: str) -> tuple[Leftover, ...]:
    """What this engine leaves behind for one bridge when the proxy comes back."""
    if not leaves_masquerade(facts.engine.version_tuple):
        return ()
    # Without ip6tables the engine writes no rules for IPv6, and the table must not be made by looking at it.
    families: tuple[Family, ...] = FAMILIES if facts.engine.ip6tables else (4,)
    return tuple(
        Leftover(family=family, table="nat", chain="POSTROUTING", rule=masquerade_rule(bridge)) for family in families
    )


def masquerade_rule(bridge: str) -> str:
    """The engine's rule for the host's own connections into a bridge, as iptables-save prints it."""
    return f"-A POSTROUTING -o {bridge} -m addrtype --src-type LOCAL -j MASQUERADE"


def _sysctls_that_the_engine_changes(change: ProxyChange) -> dict[str, str]:
    """What the engine changes and never puts back, but for what the bridging rules rest on.

    The bridging rules outlive the restart in an undo too: that part is put back by the undo of `_sysctls`, the last.
    """
    first = _sysctls(change) if change.keeps_containers else None
    needed_by_rules = frozenset[str]() if first is None else first.previous.keys()
    names = [conf_name(bridge, "route_localnet") for bridge in engine_bridges(change.facts)]
    names += [f"net.bridge.bridge-nf-call-{tables}" for tables in ("iptables", "ip6tables")]
    return {n: change.facts.sysctls[n] for n in names if n in change.facts.sysctls and n not in needed_by_rules}


def _write_only(change: ProxyChange) -> Action:
    """daemon.json alone, where the engine runs with the wanted setting already."""
    return SwitchUserlandProxy(
        id="userland_proxy",
        summary=f"userland-proxy {_word(change.target)} written into daemon.json",
        reason=f"the engine runs with userland-proxy {_word(change.target)}, but its next start would change it: "
        f"daemon.json says {configured(change.facts, PROXY_KEY)!r}",
        before=f"daemon.json: {configured(change.facts, PROXY_KEY)!r}",
        after=f"daemon.json: {change.target}",
        inverse="daemon.json byte for byte as it was",
        path=change.facts.daemon_json.path,
        target=change.target,
        content=change.final,
        back_content=change.content(),
        original=change.content(),
        ruleset=_no_rules(change),
        firewall_backend=change.facts.firewall.backend,
        leftovers=(),
        sysctls_before={},
        containers=(),
        live_restore=True,
        restart=False,
    )


def _listed(names: list[str]) -> str:
    return ", ".join(name.split("/" if "/" in name else ".")[-2] for name in names)
