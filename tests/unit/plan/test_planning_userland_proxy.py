"""Planning `userland_proxy: false` on the facts of real hosts."""

import json
from ipaddress import ip_address

import pytest

from remedy.facts.model import HostFacts
from remedy.paths.published import published_ports
from remedy.plan.actions import HoldLiveRestore, RemoveRules, SwitchUserlandProxy, WriteRules

OFF = {"userland_proxy": False}


def with_engine(facts, **changes):
    return facts.model_copy(update={"engine": facts.engine.model_copy(update=changes)})


def with_daemon_json(facts, raw, **changes):
    parsed = json.loads(raw) if raw is not None else None
    new = facts.daemon_json.model_copy(
        update={"exists": raw is not None, "raw": raw, "parsed": parsed, "mode": 0o644, **changes}
    )
    return facts.model_copy(update={"daemon_json": new})


@pytest.mark.parametrize("host", ["operator-20.10", "operator-28.5"])
def test_the_actions_stand_like_a_palindrome_around_the_restart(facts_of, plan_for, host):
    plan = plan_for(facts_of(host), remedies=OFF)
    assert [action.id for action in plan.actions] == [
        "route_localnet",
        "hairpin_mode",
        "bridge",
        "hold_live_restore",
        "userland_proxy",
        "release_live_restore",
        "unbridge",
    ]
    assert plan.refusals == ()


def test_haproxy_is_known_and_moves_from_docker_proxy_to_dnat(facts_of, plan_for):
    plan = plan_for(facts_of("operator-28.5"), remedies=OFF)
    moved = {(p.from_, p.to): (p.before, p.after) for p in plan.paths}
    for port in (5001, 5002, 5003):
        assert moved["dev1-haproxy-1", f"172.17.0.1:{port}"] == ("docker-proxy", "dnat")


def test_bridging_covers_every_published_port_and_stays_off_other_bridges(facts_of, plan_for):
    plan = plan_for(facts_of("odd-28.5"), remedies=OFF)
    [write] = [a for a in plan.actions if isinstance(a, WriteRules)]
    [remove] = [a for a in plan.actions if isinstance(a, RemoveRules)]
    assert write.ruleset == remove.ruleset
    ports = {(str(r.address), r.port, r.protocol): r for r in write.ruleset.redirects}
    assert ports["127.0.0.1", 6001, "tcp"].from_loopback
    assert not ports["127.0.0.1", 6001, "tcp"].from_elsewhere
    assert ports["10.98.0.200", 6020, "tcp"].from_elsewhere
    assert not ports["10.98.0.200", 6020, "tcp"].from_loopback
    assert ports["None", 6004, "udp"].from_host


def test_a_container_that_is_stopped_has_no_redirect(facts_of, plan_for):
    plan = plan_for(facts_of("odd-28.5"), remedies=OFF)
    [write] = [a for a in plan.actions if isinstance(a, WriteRules)]
    assert 6010 not in {redirect.port for redirect in write.ruleset.redirects}


def test_live_restore_that_is_on_already_is_left_alone(facts_of, plan_for):
    facts = with_engine(facts_of("operator-28.5"), live_restore=True)
    plan = plan_for(with_daemon_json(facts, b'{"live-restore": true}'), remedies=OFF)
    assert not [a for a in plan.actions if isinstance(a, HoldLiveRestore)]
    [switch] = [a for a in plan.actions if isinstance(a, SwitchUserlandProxy)]
    assert json.loads(switch.content.raw) == {"live-restore": True, "userland-proxy": False}


def test_a_reload_never_sees_userland_proxy_true(facts_of, plan_for):
    """26 and later reject a SIGHUP as a whole while the file says true."""
    facts = with_daemon_json(facts_of("operator-28.5"), b'{"userland-proxy": true, "debug": false}')
    [hold] = [a for a in plan_for(facts, remedies=OFF).actions if isinstance(a, HoldLiveRestore)]
    for content in (hold.content, hold.release_content):
        assert json.loads(content.raw)["userland-proxy"] is False
    assert hold.original.raw == b'{"userland-proxy": true, "debug": false}'


def test_nothing_is_planned_where_the_proxy_is_off_now_and_at_the_next_start(facts_of, plan_for):
    facts = with_engine(facts_of("operator-28.5"), userland_proxy=False)
    plan = plan_for(with_daemon_json(facts, b'{"userland-proxy": false}'), remedies=OFF)
    assert not plan.changes
    assert plan.actions == ()


def test_a_file_that_would_switch_the_proxy_on_again_is_written_without_a_restart(facts_of, plan_for):
    plan = plan_for(with_engine(facts_of("operator-28.5"), userland_proxy=False), remedies=OFF)
    [switch] = plan.actions
    assert isinstance(switch, SwitchUserlandProxy)
    assert not switch.restart
    assert switch.disruption.level == "none"


def test_a_haproxy_on_another_network_is_refused_by_name_before_29(facts_of, plan_for):
    plan = plan_for(facts_of("cross-26.1"), remedies=OFF)
    lost = [r for r in plan.refusals if r.code == "consumer-lost"]
    assert len(lost) == 2
    assert all("x-haproxy-1" in refusal.what for refusal in lost)
    assert "172.31.0.1:5001" in lost[0].what


def test_its_loss_can_be_accepted_by_name_and_is_not_probed_then(facts_of, plan_for):
    accept = [{"from": "x-haproxy-1", "to": f"172.31.0.1:{port}"} for port in (5001, 5002)]
    plan = plan_for(facts_of("cross-26.1"), remedies=OFF, accept=accept)
    assert plan.refusals == ()
    assert not [p for p in plan.probes if p.from_ == "x-haproxy-1" and p.to == "172.31.0.1:5001"]


def test_engine_29_does_not_isolate_networks(capture, plan_for):
    probes = [{"from": "other-net", "to": "172.17.0.1:5001"}]
    plan = plan_for(capture("29.7.2-iptables-proxy-on"), remedies=OFF, probes=probes)
    assert "consumer-lost" not in {refusal.code for refusal in plan.refusals}
    assert {path.after for path in plan.paths if path.from_ == "other-net"} == {"dnat"}


def test_before_29_the_same_consumer_is_refused_with_the_rule_that_drops_it(capture, plan_for):
    probes = [{"from": "other-net", "to": "172.17.0.1:5001"}]
    plan = plan_for(capture("28.5.2-iptables-proxy-on"), remedies=OFF, probes=probes)
    lost = next(refusal for refusal in plan.refusals if refusal.code == "consumer-lost")
    assert "other-net" in lost.what
    assert "DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP" in lost.why


def test_a_consumer_whose_way_cannot_be_told_is_a_warning_that_quotes_the_rule(capture, plan_for):
    facts = capture("28.5.2-iptables-proxy-on")
    four, six = facts.firewall.tables
    rule = "-A DOCKER-USER -m teleport --beam up -j DROP"
    text = four.text.replace("-A FORWARD -j DOCKER-USER\n", f"{rule}\n-A FORWARD -j DOCKER-USER\n")
    tables = (four.model_copy(update={"text": text}), six)
    odd = facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"tables": tables})})
    plan = plan_for(odd, remedies=OFF, probes=[{"from": "haproxy", "to": "172.17.0.1:5001"}])
    [first] = [warning for warning in plan.warnings if warning.code == "path-unknown"]
    assert rule in first.detail
    assert "haproxy" in first.what


def test_somebody_who_uses_ipv6_loopback_is_refused_when_known_and_warned_of_when_not(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    plan = plan_for(facts, remedies=OFF)
    assert "possible-ipv6" in {warning.code for warning in plan.warnings}
    known = plan_for(facts, remedies=OFF, probes=[{"from": "host", "to": "[::1]:5001"}])
    [refusal] = known.refusals
    assert "[::1]:5001" in refusal.what
    assert refusal.accepted_by == 'accept: [{from: "host", to: "[::1]:5001"}]'


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"swarm": True}, "swarm"),
        ({"rootless": True}, "rootless"),
        ({"iptables": False}, "iptables-off"),
        ({"userland_proxy": None}, "proxy-unknown"),
        ({"command_line": ("/usr/sbin/dockerd", "--userland-proxy=true")}, "flag"),
        ({"command_line": ("/usr/sbin/dockerd", "--live-restore=false")}, "live-restore"),
    ],
)
def test_an_engine_that_cannot_be_switched_safely_is_refused_with_a_cure(facts_of, plan_for, changes, code):
    plan = plan_for(with_engine(facts_of("operator-28.5"), **changes), remedies=OFF)
    refusal = next(r for r in plan.refusals if r.code == code)
    assert refusal.what and refusal.why and refusal.cure


def test_containers_may_be_stopped_when_the_spec_says_so(facts_of, plan_for):
    facts = with_engine(facts_of("operator-28.5"), command_line=("/usr/sbin/dockerd", "--live-restore=false"))
    plan = plan_for(facts, remedies=OFF, policy={"stop_containers": True})
    assert plan.refusals == ()
    [switch] = plan.actions
    assert set(switch.disruption.containers) == {c.name for c in facts.containers}
    # There is no action of its own that would put it back.
    assert switch.sysctls_before["net.ipv4.conf.docker0.route_localnet"] == "0"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"is_symlink": True, "symlink_target": "/srv/daemon.json"}, "daemon-json-symlink"),
        ({"problem": "1:3: not JSON"}, "daemon-json-invalid"),
        ({"is_the_engines": False}, "config-file"),
    ],
)
def test_a_daemon_json_that_cannot_be_edited_is_refused(facts_of, plan_for, changes, code):
    facts = facts_of("operator-28.5")
    facts = facts.model_copy(update={"daemon_json": facts.daemon_json.model_copy(update=changes)})
    assert code in {refusal.code for refusal in plan_for(facts, remedies=OFF).refusals}


def test_a_restart_that_the_policy_forbids_is_refused(facts_of, plan_for):
    plan = plan_for(facts_of("operator-28.5"), remedies=OFF, policy={"restart_engine": False})
    assert [refusal.code for refusal in plan.refusals] == ["restart-not-allowed"]


def test_every_published_port_is_tried_even_where_nobody_is_known(facts_of, plan_for):
    plan = plan_for(facts_of("odd-28.5"), remedies=OFF)
    assert ("host", "127.0.0.1:5001") in {(probe.from_, probe.to) for probe in plan.probes}


def test_planning_twice_gives_the_same_plan(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    assert plan_for(facts, remedies=OFF) == plan_for(facts, remedies=OFF)


def test_2010_leaves_a_masquerade_behind_that_is_noted_and_28_does_not(facts_of, plan_for):
    [old] = [
        a for a in plan_for(facts_of("operator-20.10"), remedies=OFF).actions if isinstance(a, SwitchUserlandProxy)
    ]
    [new] = [a for a in plan_for(facts_of("operator-28.5"), remedies=OFF).actions if isinstance(a, SwitchUserlandProxy)]
    rule = "-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE"
    assert [(leftover.family, leftover.rule) for leftover in old.leftovers] == [(4, rule)]
    assert new.leftovers == ()


def test_2010_leaves_one_behind_for_ipv6_too_where_it_writes_ip6tables(facts_of, plan_for):
    facts = with_engine(facts_of("operator-20.10"), ip6tables=True)
    [switch] = [a for a in plan_for(facts, remedies=OFF).actions if isinstance(a, SwitchUserlandProxy)]
    assert [leftover.family for leftover in switch.leftovers] == [4, 6]


def test_a_rule_that_was_there_before_is_no_leftover_whatever_the_other_iptables_has(facts_of, plan_for):
    facts = facts_of("operator-20.10")
    rule = "-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE"
    [own] = [t for t in facts.firewall.tables if t.family == 4]
    last = "-A POSTROUTING "
    own = own.model_copy(update={"text": own.text.replace(last, f"{rule}\n{last}", 1)})
    other = own.model_copy(update={"variant": "legacy", "text": "*filter\nCOMMIT\n"})
    firewall = facts.firewall.model_copy(update={"tables": (other, own)})
    plan = plan_for(facts.model_copy(update={"firewall": firewall}), remedies=OFF)
    [switch] = [a for a in plan.actions if isinstance(a, SwitchUserlandProxy)]
    assert switch.leftovers == ()


def test_a_bridge_whose_name_has_a_dot_gets_its_route_localnet_and_gives_it_back(facts_of, plan_for):
    """sysctl(8) spells such names with slashes; facts and actions have to spell them alike."""
    text = facts_of("operator-28.5").model_dump_json().replace("docker0", "br.web")
    facts = HostFacts.model_validate_json(text)
    spelt = {name.replace("net.ipv4.conf.br.web.", "net/ipv4/conf/br.web/"): v for name, v in facts.sysctls.items()}
    plan = plan_for(facts.model_copy(update={"sysctls": spelt}), remedies=OFF)
    [sysctl] = [action for action in plan.actions if action.kind == "sysctl"]
    assert sysctl.previous == {"net/ipv4/conf/br.web/route_localnet": "0"}
    assert "br.web" in sysctl.summary


@pytest.mark.parametrize(("raw", "held"), [(b'{"userland-proxy": false}', True), (None, False)])
def test_a_file_that_says_so_already_does_not_keep_the_engine_from_going_back(facts_of, plan_for, raw, held):
    """Edited, and the engine never restarted: the file as it was would bring the engine back without the proxy."""
    raw = raw or b'{"userland-proxy": false, "live-restore": true}'
    facts = with_engine(with_daemon_json(facts_of("operator-28.5"), raw), live_restore=not held)
    [switch] = [a for a in plan_for(facts, remedies=OFF).actions if isinstance(a, SwitchUserlandProxy)]
    assert switch.restart
    assert json.loads(switch.back_content.raw) == {"userland-proxy": True, "live-restore": True}
    assert switch.original.raw == raw
    assert switch.held is held


def test_a_networks_name_cannot_break_out_of_the_command_that_cures(facts_of, plan_for):
    """The engine takes any text as the name of a network."""
    text = facts_of("cross-26.1").model_dump_json()
    name = next(n["name"] for n in json.loads(text)["networks"] if n["bridge"] not in (None, "docker0"))
    facts = HostFacts.model_validate_json(text.replace(f'"{name}"', '"x; reboot"'))
    cures = [r.cure for r in plan_for(facts, remedies=OFF).refusals if r.code == "consumer-lost"]
    assert cures
    assert all("x; reboot" not in cure or "'x; reboot'" in cure for cure in cures)


def test_a_bridge_that_no_rule_can_name_is_refused_before_anything_is_changed(facts_of, plan_for):
    facts = HostFacts.model_validate_json(facts_of("operator-28.5").model_dump_json().replace("docker0", "br+web"))
    refusals = {refusal.code: refusal for refusal in plan_for(facts, remedies=OFF).refusals}
    assert "br+web" in refusals["bridge-name"].what


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("20.10.24-iptables-proxy-on-variant-noip6tables", ["consumer-lost"]),
        ("20.10.24-iptables-proxy-on-variant", []),
    ],
)
def test_ipv6_of_an_engine_without_ip6tables_is_docker_proxys_alone(capture, plan_for, name, refused):
    """Off by default before 27.0: no rule would ever serve it, and apply would wait for one."""
    plan = plan_for(capture(name), remedies=OFF, probes=[{"from": "external", "to": "[fd98::10]:5004"}])
    assert [r.code for r in plan.refusals if r.code == "consumer-lost"] == refused
    six = [port for port in published_ports(capture(name)) if port.to_address.version == 6]
    assert [port.is_nat for port in six] == [not refused] * len(six)


def test_a_port_is_on_the_network_that_has_the_gateway_by_priority_and_then_by_name(facts_of, plan_for):
    """With the proxy off no docker-proxy tells which of a container's networks carries its ports (28.0)."""
    facts = with_engine(facts_of("odd-28.5"), userland_proxy=False)
    document = json.loads(facts.model_copy(update={"docker_proxies": ()}).model_dump_json())
    networks = {}
    for priority in (0, 1):
        container = next(c for c in document["containers"] if c["name"] == "two-nets")
        container["endpoints"][-1]["gateway_priority"] = priority
        changed = HostFacts.model_validate_json(json.dumps(document))
        plan = plan_for(changed, remedies={"userland_proxy": True})
        [write] = [action for action in plan.actions if isinstance(action, WriteRules)]
        networks[priority] = next(str(r.to_address) for r in write.ruleset.redirects if r.port == 6002)
    addresses = [endpoint["ipv4"].partition("/")[0] for endpoint in container["endpoints"]]
    assert [networks[0], networks[1]] == addresses


def with_servers(facts, **changes):
    haproxies = tuple(
        haproxy.model_copy(update={"servers": tuple(s.model_copy(update=changes) for s in haproxy.servers)})
        for haproxy in facts.haproxies
    )
    return facts.model_copy(update={"haproxies": haproxies})


def test_a_server_by_a_name_of_etc_hosts_is_known_and_by_another_one_warned_of(facts_of, plan_for):
    """host.docker.internal stands in the container's /etc/hosts; inspect only says host-gateway."""
    cross = with_servers(facts_of("cross-26.1"), host="host.docker.internal")
    plan = plan_for(cross, remedies=OFF)
    assert plan.refusals == ()
    [warning] = [w for w in plan.warnings if "host.docker.internal:5001" in w.what]
    assert warning.code == "evidence-missing"

    resolved = with_servers(cross, addresses=(ip_address("172.17.0.1"),))
    plan = plan_for(resolved, remedies=OFF)
    assert {refusal.code for refusal in plan.refusals} == {"consumer-lost"}
    assert "x-haproxy-1" in plan.refusals[0].what
    assert not [w for w in plan.warnings if w.code == "evidence-missing"]


def test_an_engine_of_another_unit_is_not_restarted(facts_of, plan_for):
    facts = facts_of("operator-28.5")
    snap = facts.systemd.model_copy(update={"unit": "snap.docker.dockerd.service"})
    plan = plan_for(facts.model_copy(update={"systemd": snap}), remedies=OFF)
    assert [refusal.code for refusal in plan.refusals] == ["other-unit"]
    assert "snap.docker.dockerd.service" in plan.refusals[0].what


def test_a_container_that_leaves_by_its_other_network_does_not_reach_itself(facts_of, plan_for):
    facts = facts_of("odd-28.5")
    [container] = [c for c in facts.containers if c.name == "two-nets"]
    gateways = {e.network_name: str(e.gateway4 or next(iter(e.ipv4.network.hosts()))) for e in container.endpoints}
    probes = [{"from": "two-nets", "to": f"{gateway}:6002"} for gateway in gateways.values()]
    plan = plan_for(facts, remedies=OFF, probes=probes)
    moved = {path.to: path.after for path in plan.paths if path.from_ == "two-nets"}
    assert moved == {f"{gateways['bridge']}:6002": "dnat", f"{gateways['extra']}:6002": "none"}
    assert [refusal.code for refusal in plan.refusals] == ["consumer-lost"]


@pytest.mark.parametrize("name", ["20.10.24-iptables-proxy-on-variant", "28.5.2-iptables-proxy-on-variant"])
def test_neighbours_that_may_not_talk_to_each_other_need_docker_proxy(capture, plan_for, name):
    """Measured on 20.10 and 28.5 with enable_icc: false: translated, then dropped in FORWARD."""
    facts = capture(name)
    network = next(network for network in facts.networks if network.name == "noicc")
    probes = [{"from": "icc1", "to": f"{network.gateways[0]}:5008"}]
    plan = plan_for(facts, remedies=OFF, probes=probes)
    lost = [refusal.what for refusal in plan.refusals if refusal.code == "consumer-lost"]
    assert any(what.startswith("icc1 would no longer reach icc2") for what in lost)
    assert "possible-neighbours" in {warning.code for warning in plan.warnings}

    backends = [{"containers": ["icc2"], "port": 8080}]
    hairpin = plan_for(facts, backends=backends, remedies={"hairpin": True}, accept_pinned=True, probes=probes)
    assert not hairpin.changes
    assert {path.after for path in hairpin.paths if path.from_ == "icc1"} == {"docker-proxy"}


def test_an_accepted_loss_of_somebody_who_is_not_there_is_told(facts_of, plan_for):
    accept = [{"from": "dev1-haproxi-1", "to": "172.17.0.1:5001"}, {"from": "host", "to": "[::1]:5001"}]
    plan = plan_for(facts_of("operator-28.5"), remedies=OFF, accept=accept)
    [warning] = [warning for warning in plan.warnings if warning.code == "accept-unknown"]
    assert "dev1-haproxi-1" in warning.what
    assert warning.detail == "did you mean dev1-haproxy-1?"
