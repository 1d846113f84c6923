"""What stands of several applied runs: the later word where both are about the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from remedy.apply.runs import Run
from remedy.apply.standing import standing_actions
from remedy.firewall.ruleset import Ruleset
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    HairpinPort,
    InsideMember,
    NetworkMember,
    RemoveRules,
    SetHairpinMode,
    SetSysctls,
    UntrackInside,
    WriteRules,
)

TEXTS: dict[str, Any] = {"summary": "s", "reason": "r", "before": "b", "after": "a", "inverse": "i"}


def run(*actions: Action) -> Run:
    return cast("Run", SimpleNamespace(plan=SimpleNamespace(actions=actions), to_undo=lambda: ()))


def written(name: str) -> WriteRules:
    ruleset = Ruleset.model_validate({"name": name})
    return WriteRules(id=f"{name}_rules", **TEXTS, ruleset=ruleset, firewall_backend="iptables-nft")


def removed(name: str) -> RemoveRules:
    ruleset = Ruleset.model_validate({"name": name})
    return RemoveRules(id=f"no_{name}", **TEXTS, ruleset=ruleset, firewall_backend="iptables-nft")


def sysctls(**values: str) -> SetSysctls:
    return SetSysctls(id="route_localnet", **TEXTS, values=values, previous={})


def inside(*names: str, untracked: bool = True) -> UntrackInside:
    members = tuple(InsideMember(container=name, container_id=name) for name in names)
    key = "untrack_inside" if untracked else "track_inside"
    return UntrackInside(id=key, **TEXTS, members=members, firewall_backend="iptables-nft", untracked=untracked)


def connected(network: str, *names: str) -> ConnectNetwork:
    members = tuple(NetworkMember(container=name, container_id=name) for name in names)
    return ConnectNetwork(id="connect_network", **TEXTS, network=network, members=members)


def hairpin(bridge: str) -> SetHairpinMode:
    port = HairpinPort(bridge=bridge, interface=f"veth-{bridge}", container="c", container_id="c", previous=False)
    return SetHairpinMode(id="hairpin_mode", **TEXTS, ports=(port,), bridges=(bridge,), userland_proxy_after_undo=True)


def test_rules_of_an_older_run_stand_until_a_newer_one_takes_them_away() -> None:
    first, second = run(written("hairpin")), run(written("notrack"))
    assert standing_actions([first, second]) == (written("hairpin"), written("notrack"))
    assert standing_actions([first, second, run(removed("hairpin"))]) == (written("notrack"), removed("hairpin"))


def test_the_newest_value_of_a_sysctl_counts() -> None:
    [action] = standing_actions([run(sysctls(a="1", b="1")), run(sysctls(b="0"))])
    assert isinstance(action, SetSysctls)
    assert action.values == {"a": "1", "b": "0"}


def test_bridges_and_members_of_all_runs_are_meant() -> None:
    [mode] = standing_actions([run(hairpin("br-a")), run(hairpin("br-b"))])
    assert isinstance(mode, SetHairpinMode)
    assert mode.bridges == ("br-a", "br-b")
    first, second = standing_actions([run(connected("lb", "a"), connected("db", "a")), run(connected("lb", "b"))])
    assert isinstance(second, ConnectNetwork)
    assert first == connected("db", "a")
    assert [member.container for member in second.members] == ["a", "b"]


def test_whose_table_is_let_fill_again_is_not_expected_to_be_empty() -> None:
    kept, _ = standing_actions([run(inside("a", "b")), run(inside("c")), run(inside("b", untracked=False))])
    assert isinstance(kept, UntrackInside)
    assert [member.container for member in kept.members] == ["a", "c"]
