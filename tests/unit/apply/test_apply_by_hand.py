"""The commands that finish by hand what a rollback could not."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from remedy.apply.by_hand import commands_by_hand
from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset, UntrackedPair
from remedy.plan.actions import (
    Action,
    FileContent,
    HoldLiveRestore,
    InsideMember,
    Leftover,
    SwitchUserlandProxy,
    UntrackInside,
    WriteRules,
)
from remedy.plan.model import Plan


def action(plan: Plan, name: str) -> Action:
    return next(action for action in plan.actions if action.id == name)


def test_a_shell_understands_all_of_them(plan: Plan) -> None:
    lines = [line for action in reversed(plan.actions) for line in commands_by_hand(action, {"made": ["/etc/docker"]})]
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=False).returncode == 0
    assert all("\n" not in line for line in lines)


def test_the_switch_comes_back_with_the_file_for_its_restart(plan: Plan) -> None:
    switch = action(plan, "userland_proxy")
    assert isinstance(switch, SwitchUserlandProxy)
    lines = commands_by_hand(switch, {})
    assert lines[0] == f"echo {base64.b64encode(switch.back_content.raw or b'').decode()} | base64 -d > {switch.path}"
    assert lines[1] == "systemctl reset-failed docker; systemctl restart docker"


def test_a_file_that_was_not_there_goes_with_the_directories_that_were_made_for_it(plan: Plan, tmp_path: Path) -> None:
    hold = action(plan, "hold_live_restore")
    assert isinstance(hold, HoldLiveRestore)
    path = tmp_path / "etc" / "docker" / "daemon.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    gone = hold.model_copy(update={"original": FileContent(path=str(path), raw=None)})
    last = commands_by_hand(gone, {"made": [str(path.parent), str(path.parent.parent)]})[-1]
    subprocess.run(["sh", "-ec", last], check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_rule_is_deleted_by_its_number_and_only_if_it_is_there(plan: Plan, tmp_path: Path) -> None:
    """With programs that stand in for iptables: the third rule of the chain is the one."""
    rule = "-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE"
    leftover = Leftover(family=4, table="nat", chain="POSTROUTING", rule=rule)
    switch = action(plan, "userland_proxy").model_copy(update={"leftovers": (leftover,)})
    rules = ["-A POSTROUTING -o br0 -m addrtype --src-type LOCAL -j MASQUERADE", "-A POSTROUTING -j RETURN", rule]
    line = next(line for line in commands_by_hand(switch, {}) if "MASQUERADE" in line)
    assert deletions(line, rules, tmp_path) == ["-w -t nat -D POSTROUTING 3"]
    assert deletions(line, rules[:2], tmp_path) == []


def deletions(line: str, rules: list[str], directory: Path) -> list[str]:
    log = directory / "log"
    log.write_text("")
    saved = "".join(f"{rule}\n" for rule in ["*nat", ":POSTROUTING ACCEPT [0:0]", "-A OUTPUT -j X", *rules])
    (directory / "saved").write_text(saved)
    for name in ("iptables", "iptables-nft", "iptables-legacy"):
        for program, script in ((name, f'echo "$@" >> {log}'), (f"{name}-save", f"cat {directory}/saved")):
            (directory / program).write_text(f"#!/bin/sh\n{script}\n")
            (directory / program).chmod(0o755)
    path = f"{directory}:/usr/bin:/bin"
    subprocess.run([shutil.which("bash") or "bash", "-ec", line], check=True, env={"PATH": path})
    return log.read_text().splitlines()


@pytest.mark.parametrize("backend", ["iptables-nft", "iptables-legacy"])
def test_rules_that_were_there_before_are_written_again(plan: Plan, facts: HostFacts, backend: str) -> None:
    bridge = action(plan, "bridge")
    assert isinstance(bridge, WriteRules)
    hairpin = bridge.ruleset.model_copy(update={"name": "hairpin", "forward_guard": False})
    write = bridge.model_copy(update={"ruleset": hairpin, "firewall_backend": backend})
    without = commands_by_hand(write, {"previous": None})
    written = commands_by_hand(write, {"previous": hairpin.model_dump(mode="json")})
    assert written[: len(without)] == without
    text = "".join(base64.b64decode(line.split()[1]).decode() for line in written[len(without) :])
    assert ("table ip remedy_hairpin" if backend == "iptables-nft" else "-I PREROUTING") in text
    assert facts.engine.version.startswith("28.5")


def test_the_accept_of_untracked_pairs_goes_whatever_form_its_jump_has(plan: Plan) -> None:
    """Also where the run has written none: the watcher may have, since."""
    bridge = action(plan, "bridge")
    assert isinstance(bridge, WriteRules)
    ruleset = Ruleset(name="notrack")
    write = bridge.model_copy(update={"ruleset": ruleset, "firewall_backend": "iptables-nft"})
    lines = [
        line for line in commands_by_hand(write, {}) if "REMEDY" in line and not line.startswith(("ip6", "while ip6"))
    ]
    jump = '-m comment --comment "remedy:notrack" -j REMEDY-NOTRACK-FORWARD 2>/dev/null; do :; done'
    assert lines == [
        f"while iptables-nft -w -D FORWARD -m conntrack --ctstate UNTRACKED {jump}",
        f"while iptables-nft -w -D FORWARD {jump}",
        "iptables-nft -w -F REMEDY-NOTRACK-FORWARD 2>/dev/null || true",
        "iptables-nft -w -X REMEDY-NOTRACK-FORWARD 2>/dev/null || true",
    ]


def test_the_accept_for_speed_is_written_again_too(plan: Plan) -> None:
    bridge = action(plan, "bridge")
    assert isinstance(bridge, WriteRules)
    pair = UntrackedPair.model_validate(
        {
            "protocol": "tcp",
            "client_address": "10.5.0.2",
            "server_address": "10.5.0.3",
            "server_port": 8080,
            "bridge": "br-lb",
            "client": "lb",
            "server": "api",
            "network": "lb",
        }
    )
    before = Ruleset(name="notrack", untracked=(pair,), accept_ahead=True)
    write = bridge.model_copy(update={"ruleset": before, "firewall_backend": "iptables-nft"})
    lines = commands_by_hand(write, {"previous": before.model_dump(mode="json")})
    text = "".join(base64.b64decode(line.split()[1]).decode() for line in lines if line.startswith("echo"))
    assert "-I FORWARD -m conntrack --ctstate UNTRACKED" in text
    assert "-i br-lb -o br-lb -p tcp" in text


@pytest.mark.parametrize("backend", ["iptables-legacy", "iptables-nft"])
def test_rules_inside_a_container_are_taken_away_in_its_namespace(backend: str, tmp_path: Path) -> None:
    members = tuple(InsideMember(container=name, container_id=name) for name in ("web", "db"))
    keys = dict.fromkeys(("summary", "reason", "before", "after", "inverse"), "")
    inside = UntrackInside(id="untrack_inside", members=members, firewall_backend=backend, **keys)
    [line] = commands_by_hand(inside, {"present": ["db"]})
    for program, script in (
        ("docker", 'echo 7; [ "$4" = web ]'),
        ("nsenter", f'echo "$@" >> {tmp_path}/log'),
    ):
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
    subprocess.run(["/bin/bash", "-ec", line], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    entered = (tmp_path / "log").read_text()
    assert entered.startswith("-t 7 -n sh -c ")
    assert ("nft delete table ip remedy_notrack" if backend == "iptables-nft" else "-X REMEDY-NOTRACK-IN") in entered
    assert subprocess.run(["bash", "-c", line], check=False, env={"PATH": "/usr/bin:/bin"}).returncode != 0, "no engine"
    assert commands_by_hand(inside.model_copy(update={"untracked": False}), {}) == ()
