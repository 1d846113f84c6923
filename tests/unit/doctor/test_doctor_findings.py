"""Each other finding: on the host that has it, and not on the one that does not."""

from __future__ import annotations

from ipaddress import ip_address

import doctor_samples as host
import pytest

from remedy.doctor.diagnosis import diagnose
from remedy.doctor.patient import Measured
from remedy.facts.model import ConntrackLosses, ConntrackSizing, IptablesTables, Link, OwnTable, Unread
from remedy.host.conntrack_settings import BUCKETS, MAXIMUM

BRIDGE_NF = "net.bridge.bridge-nf-call-iptables"


# --- conntrack -------------------------------------------------------------------------------------------------------


def test_a_table_that_fills_up_is_told_with_its_sources():
    entries = (host.tracked(5001, count=90_000), host.tracked(5002, count=50_000, client="172.17.0.4"))
    facts = host.changed(host.quiet(), conntrack={"count": 170_000, "maximum": 262_144, "entries": entries})

    finding = host.only(facts, "conntrack-fill")

    assert finding.title == "the conntrack table is 65% full"
    assert finding.severity == "medium"
    assert "90000: dev1-haproxy-1 -> 172.17.0.1:5001/tcp" in host.evidence_of(finding)
    assert "140000 of them are connections to published ports" in host.evidence_of(finding)


def test_a_table_that_fills_up_is_sized_for_what_ends_now():
    sizing = ConntrackSizing(writable=(MAXIMUM, BUCKETS), bytes_per_entry=320, bucket_step=512, memory_bytes=4 << 30)
    table = {"count": 170_000, "maximum": 262_144, "buckets": 262_144, "time_wait": 150_000, "sizing": sizing}
    facts = host.changed(host.quiet(), conntrack=table)

    finding = host.only(facts, "conntrack-fill")

    assert finding.spec == "remedies: {conntrack: {connection_rate: 1300}}"  # 150000 in 120 s
    assert "about 51 MiB" in host.evidence_of(finding)
    elsewhere = sizing.model_copy(update={"writable": ()})
    assert host.only(host.changed(facts, conntrack={"sizing": elsewhere}), "conntrack-fill").spec is None


def test_a_table_that_is_full_stands_first():
    facts = host.changed(host.operator(), conntrack={"count": 262_000, "maximum": 262_144})
    assert host.codes(diagnose(facts))[:2] == ["conntrack-fill", "through-docker-proxy"]


def test_drops_of_the_past_are_told_after_what_runs_through_docker_proxy():
    losses = ConntrackLosses(drop=17, early_drop=3, insert_failed=250)
    facts = host.changed(host.operator(), conntrack={"losses": losses})
    assert host.codes(diagnose(facts)) == ["through-docker-proxy", "conntrack-drops", "conntrack-insert-failed"]
    assert "17 new flows" in host.only(facts, "conntrack-drops").title


def test_a_few_failed_insertions_are_everyday_life():
    losses = ConntrackLosses(drop=0, early_drop=0, insert_failed=9)
    assert host.codes(diagnose(host.changed(host.quiet(), conntrack={"losses": losses}))) == []


# --- the processes ---------------------------------------------------------------------------------------------------


def test_processor_time_is_what_was_measured_else_what_was_used_since_the_start():
    facts = host.quiet()
    pid = host.pid_of(facts, 5001)
    now = Measured(seconds=2.0, cpu_seconds={pid: 1.0})
    assert host.only(facts, "proxy-processor-time", now).title == "docker-proxy uses 50% of a processor"
    busy = facts.docker_proxies[0].model_copy(update={"cpu_seconds": 30.0, "age_seconds": 100.0})
    facts = host.changed(facts, docker_proxies=(busy, *facts.docker_proxies[1:]))
    finding = host.only(facts, "proxy-processor-time")
    assert finding.title == "docker-proxy uses 30% of a processor"
    assert f"docker-proxy pid {busy.pid} (port {busy.host_port}" in host.evidence_of(finding)


def test_a_range_of_ports_is_told_by_its_container():
    facts = host.quiet()
    proxy = next(p for p in facts.docker_proxies if p.host_port == 5001)
    many = tuple(
        proxy.model_copy(update={"pid": 9000 + n, "host_port": 20000 + n, "resident_bytes": 3 << 20})
        for n in range(100)
    )
    finding = host.only(host.changed(facts, docker_proxies=many), "proxy-memory")
    assert finding.title == "100 docker-proxy processes occupy 300 MiB"
    assert "dev1-api-1: 100 of them, 300 MiB, for ports 20000 to 20099" in host.evidence_of(finding)


# --- what does not work inside ---------------------------------------------------------------------------------------


def test_bridge_netfilter_off_without_the_proxy_cuts_neighbours_off():
    facts = host.capture("28.5.2-iptables-proxy-off")
    assert host.found(facts, "bridge-netfilter-off") == []
    off = host.changed(facts, sysctls={BRIDGE_NF: "0"})
    finding = host.only(off, "bridge-netfilter-off")
    assert finding.severity == "high"
    assert f"{BRIDGE_NF} is 0" in finding.title
    assert "api-2 -> 172.17.0.1:5001 (api-1)" in host.evidence_of(finding)


def test_bridge_netfilter_off_with_the_proxy_is_nothing():
    facts = host.changed(host.capture("28.5.2-iptables-proxy-on"), sysctls={BRIDGE_NF: "0"})
    assert host.found(facts, "bridge-netfilter-off") == []


@pytest.mark.parametrize("engine", ["20.10.24-iptables", "26.1.5-iptables", "28.5.2-iptables", "29.7.2-nftables"])
def test_hairpin_mode_is_missing_after_a_flip_and_named_by_port(engine):
    facts = host.capture(f"{engine}-proxy-off-flip")
    finding = host.only(facts, "hairpin-mode-off")
    old = next(p.interface for p in facts.bridge_ports if not p.hairpin_mode)
    assert f"bridge link set dev {old} hairpin on" in finding.remedy
    assert host.found(host.capture(f"{engine}-proxy-off"), "hairpin-mode-off") == []


@pytest.mark.parametrize("engine", ["20.10.24", "28.5.2"])
def test_ufw_that_keeps_containers_from_docker_proxy_is_told(engine):
    facts = host.capture(f"{engine}-iptables-proxy-on-variant-ufw")
    finding = host.only(facts, "proxy-blocked-by-firewall")
    assert finding.title.startswith("ufw keeps containers from docker-proxy")
    assert "iptables filter INPUT" in host.evidence_of(finding)
    assert "ufw allow from" in finding.remedy
    assert host.only(facts, "ports-past-ufw")
    assert host.found(host.capture(f"{engine}-iptables-proxy-on-variant"), "proxy-blocked-by-firewall") == []


# --- neighbours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "is_exposed"), [("20.10.24", True), ("26.1.5", True), ("28.5.2", False)])
def test_a_port_on_the_loopback_address_is_open_to_neighbours_before_28(engine, is_exposed):
    facts = host.capture(f"{engine}-iptables-proxy-on")
    exposed = host.found(facts, "loopback-port-exposed")
    assert [f.title for f in exposed] == [
        "published on 127.0.0.1 and reachable from neighbours: only-lo (127.0.0.1:6001)"
    ] * is_exposed
    assert all("-d 127.0.0.1/32" in host.evidence_of(finding) for finding in exposed)


def test_a_drop_in_the_raw_table_closes_it():
    facts = host.capture("20.10.24-iptables-proxy-on")
    raw = "*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n-A PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP\nCOMMIT\n"
    closed = host.with_rules(facts, IptablesTables(family=4, variant="nft", command="iptables-save", text=raw))
    assert host.found(closed, "loopback-port-exposed") == []


@pytest.mark.parametrize(("engine", "is_open"), [("20.10.24", True), ("28.5.2", False)])
def test_ports_that_nobody_published_are_open_before_28_where_forward_accepts(engine, is_open):
    facts = host.capture(f"{engine}-iptables-proxy-on")
    assert bool(host.found(facts, "unpublished-ports-open")) == is_open


def test_a_network_that_is_open_on_purpose_is_no_finding():
    facts = host.capture("28.5.2-iptables-proxy-on-variant")
    assert {n.options.get("com.docker.network.bridge.gateway_mode_ipv4") for n in facts.networks} >= {"nat-unprotected"}
    assert host.found(facts, "unpublished-ports-open") == []


# --- rules and settings ----------------------------------------------------------------------------------------------


def test_rules_in_the_other_variant_are_told_and_a_policy_that_drops_is_high():
    text = "*filter\n:INPUT ACCEPT\n:FORWARD {}\n:OUTPUT ACCEPT\n-A FORWARD -i docker0 -j DOCKER-USER\nCOMMIT\n"
    for policy, severity in (("ACCEPT", "medium"), ("DROP", "high")):
        other = IptablesTables(family=4, variant="legacy", command="iptables-legacy-save", text=text.format(policy))
        finding = host.only(host.with_rules(host.quiet(), other), "both-iptables-variants")
        assert finding.severity == severity
        assert "-A FORWARD -i docker0 -j DOCKER-USER | iptables-legacy-save, IPv4" in host.evidence_of(finding)


def test_empty_tables_of_the_other_variant_are_nothing():
    text = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n"
    other = IptablesTables(family=4, variant="legacy", command="iptables-legacy-save", text=text)
    assert host.found(host.with_rules(host.quiet(), other), "both-iptables-variants") == []


def test_iptables_1_8_11_is_possible_harm_and_likely_once_a_rule_is_missing():
    facts = host.capture("26.1.5-iptables-proxy-off")
    assert host.only(facts, "iptables-1.8.11").confidence == "possible"
    missing = host.with_edited_rules(
        facts, "-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE\n", ""
    )
    finding = host.only(missing, "iptables-1.8.11")
    assert (finding.confidence, finding.severity) == ("likely", "high")
    assert "docker0 has no rule that masquerades" in host.evidence_of(finding)


def test_a_forward_policy_that_drops_matters_where_others_forward():
    facts = host.with_edited_rules(host.quiet(), ":FORWARD ACCEPT", ":FORWARD DROP")
    assert host.found(facts, "forward-policy-drop") == []
    with_machines = host.with_link(facts, Link(index=99, name="virbr0", kind="bridge"))
    assert "virbr0" in host.only(with_machines, "forward-policy-drop").title


def test_route_localnet_is_left_behind_only_while_the_proxy_is_on_and_without_rules_of_ours():
    on = host.changed(host.quiet(), sysctls={"net.ipv4.conf.docker0.route_localnet": "1"})
    finding = host.only(on, "route-localnet-left")
    assert finding.remedy == "sysctl -w net.ipv4.conf.docker0.route_localnet=0"
    own = host.changed(on, firewall={"nft_tables": (*on.firewall.nft_tables, "inet remedy_hairpin")})
    assert host.found(own, "route-localnet-left") == []
    assert host.found(host.capture("28.5.2-iptables-proxy-off"), "route-localnet-left") == []


def test_a_masquerade_that_an_old_engine_left_is_told_with_its_removal():
    rule = "POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE"
    facts = host.operator("20.10")
    left = host.with_edited_rules(
        facts, "-A POSTROUTING -s 172.17.0.0/16", f"-A {rule}\n-A POSTROUTING -s 172.17.0.0/16"
    )
    assert host.only(left, "masquerade-left").remedy == f"iptables -t nat -D {rule}"
    assert host.found(facts, "masquerade-left") == []


def test_a_daemon_json_that_says_otherwise_is_told():
    facts = host.changed(host.quiet(), daemon_json={"parsed": {"userland-proxy": False}})
    finding = host.only(facts, "userland-proxy-differs")
    assert finding.title == "the userland proxy is on, and the engine's next start switches it off"
    assert finding.spec == "remedies: {userland_proxy: false}"


def test_a_broken_daemon_json_is_told_before_the_next_start():
    broken = {"exists": True, "parsed": None, "problem": "line 3, column 5: no JSON"}
    finding = host.only(host.changed(host.quiet(), daemon_json=broken), "daemon-json-broken")
    assert "line 3, column 5" in host.evidence_of(finding)


# --- the whole -------------------------------------------------------------------------------------------------------


def test_a_quiet_host_has_no_finding():
    diagnosis = diagnose(host.quiet())
    assert diagnosis.findings == ()
    assert diagnosis.next_step.startswith("nothing")


def test_what_could_not_be_read_is_not_passed_over():
    facts = host.changed(host.quiet(), unread=(Unread(item="conntrack", reason="needs root"),))
    assert diagnose(facts).not_examined[0].what == "conntrack: needs root"


def test_the_host_needs_docker_proxy_by_the_name_of_who_would_be_lost():
    facts = host.with_connections(host.quiet(), host.held(host.quiet(), 5001, client="::1", to="::1"))
    needed = diagnose(facts).proxy_needed
    assert needed.needed is True
    assert needed.answer == "Yes, by host for [::1]:5001 (dev1-api-1)."
    assert "930e9a7" in needed.made_for
    assert diagnose(host.quiet()).proxy_needed.needed is False
    assert any("[::]" in possible for possible in diagnose(host.quiet()).proxy_needed.possible)


def test_the_host_needs_it_without_iptables_and_not_without_the_proxy():
    assert diagnose(host.changed(host.quiet(), engine={"iptables": False})).proxy_needed.needed is True
    off = host.capture("28.5.2-iptables-proxy-off")
    assert diagnose(off).proxy_needed.answer == "No: the engine runs without it."


def test_a_neighbour_is_the_gateway_or_any_machine_of_the_network():
    from remedy.doctor.neighbours import neighbour_address
    from remedy.doctor.patient import Patient

    facts = host.capture("20.10.24-iptables-proxy-on")
    at = neighbour_address(Patient(facts))
    assert at in next(a.address.network for a in facts.namespaces[0].addresses if a.interface == "eth0")
    assert at != ip_address("10.98.0.10")


def with_own_tables(facts, **values):
    spaces = (
        space if space.is_host else space.model_copy(update={"own_table": OwnTable(rules="engine", **values)})
        for space in facts.namespaces
    )
    return host.changed(facts, namespaces=tuple(spaces), conntrack={"maximum": 262_144})


@pytest.mark.parametrize(
    ("entries", "severity"), [(9_999, None), (10_000, "low"), (160_000, "medium"), (260_000, "high")]
)
def test_a_containers_own_table_is_told_before_it_is_full(entries, severity):
    def told(**values):
        found = diagnose(with_own_tables(host.quiet(), entries=entries, **values)).findings
        return [finding.severity for finding in found if finding.code == "own-conntrack-table"]

    assert told() == ([severity] if severity else [])
    assert told(kept_empty=True) == []
