"""Both writers against the kernel: who is redirected, what the server sees, and that nothing stays."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator

import pytest
from firewall_world import (
    GATEWAY,
    GATEWAY6,
    LAN,
    LAN6,
    OTHER_GATEWAY,
    OUTSIDE,
    PORT,
    Answer,
    World,
    close_server,
    redirect,
    ruleset,
    world,
)

from remedy.facts.model import FirewallBackend, FirewallFacts, IptablesTables
from remedy.firewall.by_hand import removal_commands
from remedy.firewall.iptables_variant import read_saved
from remedy.firewall.normal_form import differences, normalised
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.writer import RulesWriter, select_writer

pytestmark = pytest.mark.lab

BACKENDS = {"legacy": FirewallBackend.IPTABLES_LEGACY, "nft": FirewallBackend.IPTABLES_NFT}
HOST, C1 = Answer("host", "127.0.0.1"), Answer("c1", GATEWAY)


class Subject:
    """A world with one writer's backend, and the writer called from inside it."""

    def __init__(self, built: World, variant: str) -> None:
        self.world = built
        self.variant = variant
        self.writer: RulesWriter = select_writer(BACKENDS[variant])

    def write(self, wanted: Ruleset) -> None:
        self.world.host.call(lambda: self.writer.write(wanted))

    def remove(self) -> None:
        self.world.host.call(lambda: self.writer.remove("bridging"))

    def differences(self, wanted: Ruleset) -> tuple[str, ...]:
        return self.world.host.call(lambda: self.writer.read_differences(wanted))

    def facts(self) -> FirewallFacts:
        return self.world.host.call(lambda: read_facts(self.variant))


def read_facts(variant: str) -> FirewallFacts:
    import json
    import subprocess

    listed = [json.loads(subprocess.run(["nft", "-j", "list", "tables"], capture_output=True, check=True).stdout)]
    titles = [f"{t['table']['family']} {t['table']['name']}" for t in listed[0]["nftables"] if "table" in t]
    own = {
        title: json.loads(
            subprocess.run(["nft", "-j", "list", "table", *title.split()], capture_output=True, check=True).stdout
        )["nftables"]
        for title in titles
        if "remedy" in title
    }
    return FirewallFacts(
        backend=BACKENDS[variant],
        backend_evidence="test",
        iptables_version=None,
        nft_version=None,
        tables=tuple(
            IptablesTables(family=family, variant=variant, command="", text=read_saved(family, variant))
            for family in (4, 6)
        ),
        nft_tables=tuple(titles),
        nft_json=own,
    )


@pytest.fixture(scope="module", params=["legacy", "nft"])
def shared(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with world() as built:
        built.engine_writes(request.param)
        yield Subject(built, request.param)


@pytest.fixture
def subject(shared: Subject) -> Iterator[Subject]:
    """The module's world, with no rules of remedy's before and after."""
    before = shared.world.rules()
    yield shared
    shared.remove()
    shared.world.host.run("sysctl -qw net.ipv4.conf.docker0.route_localnet=0")
    assert shared.world.rules() == before


@pytest.fixture(params=[1, 0], ids=["bridge-nf", "no bridge-nf"])
def any_bridge_nf(request: pytest.FixtureRequest, subject: Subject) -> int:
    for name in ("iptables", "ip6tables"):
        subject.world.host.run(f"sysctl -qw net.bridge.bridge-nf-call-{name}={request.param}")
    return int(request.param)


def seen(subject: Subject) -> dict[str, str]:
    """Who answers whom, and with which source."""
    w = subject.world
    connections = {
        "own bridge -> gateway": w.c2.connect(GATEWAY),
        "own bridge -> LAN address": w.c2.connect(LAN),
        "itself -> gateway": w.c1.connect(GATEWAY),
        "other bridge -> gateway": w.c3.connect(GATEWAY),
        "other bridge -> LAN address": w.c3.connect(LAN),
        "outside -> LAN address": w.outside.connect(LAN),
        "host -> gateway": w.host.connect(GATEWAY),
        "host -> LAN address": w.host.connect(LAN),
        "host -> loopback": w.host.connect("127.0.0.1"),
        "host -> other loopback": w.host.connect("127.3.2.1"),
        "host -> ::1": w.host.connect("::1"),
    }
    return {name: f"{answer.by} sees {answer.source}" if answer else "nobody" for name, answer in connections.items()}


BEFORE = {
    "own bridge -> gateway": "host sees 172.17.0.3",
    "own bridge -> LAN address": "host sees 172.17.0.3",
    "itself -> gateway": "host sees 172.17.0.2",
    "other bridge -> gateway": "host sees 172.18.0.2",
    "other bridge -> LAN address": "host sees 172.18.0.2",
    "outside -> LAN address": f"host sees {OUTSIDE}",
    "host -> gateway": f"host sees {GATEWAY}",
    "host -> LAN address": f"host sees {LAN}",
    "host -> loopback": "host sees 127.0.0.1",
    "host -> other loopback": "host sees 127.0.0.1",
    "host -> ::1": "host sees ::1",
}
FLAGS = {
    "from_own_bridge": {
        "own bridge -> gateway": f"c1 sees {GATEWAY}",
        "own bridge -> LAN address": f"c1 sees {GATEWAY}",
        "itself -> gateway": f"c1 sees {GATEWAY}",
    },
    "from_elsewhere": {"outside -> LAN address": f"c1 sees {OUTSIDE}"},
    "from_host": {"host -> gateway": f"c1 sees {GATEWAY}", "host -> LAN address": f"c1 sees {LAN}"},
    "from_loopback": {
        "host -> loopback": f"c1 sees {GATEWAY}",
        "host -> other loopback": f"c1 sees {GATEWAY}",
    },
}


def test_before_anything_is_written_the_host_answers(subject: Subject) -> None:
    assert seen(subject) == BEFORE


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_redirects_its_connections_and_no_other(subject: Subject, flag: str, any_bridge_nf: int) -> None:
    subject.world.host.run("sysctl -qw net.ipv4.conf.docker0.route_localnet=1")
    subject.write(ruleset(redirect(**{flag: True}), guard=True))
    assert seen(subject) == {**BEFORE, **FLAGS[flag]}


def test_all_flags_together_leave_other_bridges_alone(subject: Subject, any_bridge_nf: int) -> None:
    subject.world.host.run("sysctl -qw net.ipv4.conf.docker0.route_localnet=1")
    subject.write(ruleset(redirect(**dict.fromkeys(FLAGS, True)), guard=True, forward=True))
    redirected = dict(itertools.chain.from_iterable(change.items() for change in FLAGS.values()))
    assert seen(subject) == {**BEFORE, **redirected}
    subject.remove()
    subject.world.host.run("conntrack -F 2>/dev/null")
    assert seen(subject) == BEFORE


def test_a_pinned_address_is_redirected_alone(subject: Subject) -> None:
    subject.world.host.run("sysctl -qw net.ipv4.conf.docker0.route_localnet=1")
    everybody = dict.fromkeys(FLAGS, True)
    subject.write(ruleset(redirect(address=LAN, **everybody)))
    assert seen(subject) == {
        **BEFORE,
        "own bridge -> LAN address": f"c1 sees {GATEWAY}",
        "outside -> LAN address": f"c1 sees {OUTSIDE}",
        "host -> LAN address": f"c1 sees {LAN}",
    }
    subject.write(ruleset(redirect(address="127.0.0.1", **everybody)))
    assert seen(subject) == {**BEFORE, "host -> loopback": f"c1 sees {GATEWAY}"}


def test_the_pinned_redirect_wins_over_the_general_one(subject: Subject) -> None:
    pinned = redirect(address=LAN, from_own_bridge=True, from_elsewhere=True, to_address="172.17.0.3")
    subject.write(ruleset(redirect(from_own_bridge=True, from_elsewhere=True), pinned))
    assert subject.world.c1.connect(LAN) == Answer("c2", GATEWAY)
    assert subject.world.c1.connect(GATEWAY) == C1
    assert subject.world.outside.connect(LAN) == Answer("c2", OUTSIDE)


def test_connections_to_other_machines_are_not_touched(subject: Subject) -> None:
    subject.world.servers.append(subject.world.outside.serve("outside", PORT, "0.0.0.0"))
    subject.write(ruleset(redirect(from_own_bridge=True, from_elsewhere=True, from_host=True)))
    assert subject.world.host.connect(OUTSIDE) == Answer("outside", LAN)
    assert subject.world.c2.connect(OUTSIDE) == Answer("outside", LAN)


def test_a_direct_connection_on_the_bridge_keeps_its_source(subject: Subject) -> None:
    """Only what was translated is masqueraded."""
    subject.world.host.run("sysctl -qw net.bridge.bridge-nf-call-iptables=1")
    subject.write(ruleset(redirect(from_own_bridge=True)))
    assert subject.world.c2.connect("172.17.0.2", 8080) == Answer("c1", "172.17.0.3")


def test_udp_is_redirected_alike(subject: Subject, any_bridge_nf: int) -> None:
    server = subject.world.c1.serve("c1", 53, "0.0.0.0", socket.SOCK_DGRAM)
    try:
        subject.write(ruleset(redirect(protocol="udp", port=5053, to_port=53, from_own_bridge=True)))
        assert subject.world.c2.connect(GATEWAY, 5053, kind=socket.SOCK_DGRAM) == C1
        assert subject.world.c1.connect(GATEWAY, 5053, kind=socket.SOCK_DGRAM) == C1
    finally:
        close_server(server)


def test_ipv6_is_redirected_alike(subject: Subject, any_bridge_nf: int) -> None:
    w = subject.world
    v6 = redirect(
        to_address="fd00:1::2", subnet="fd00:1::/64", from_own_bridge=True, from_elsewhere=True, from_host=True
    )
    subject.write(ruleset(v6, redirect(port=5002, from_own_bridge=True), forward=True))
    assert subject.differences(ruleset(v6, redirect(port=5002, from_own_bridge=True), forward=True)) == ()
    assert w.c2.connect(GATEWAY6) == Answer("c1", GATEWAY6)
    assert w.c1.connect(LAN6) == Answer("c1", GATEWAY6)
    assert w.outside.connect(LAN6) == Answer("c1", "fd98:77::2")
    assert w.host.connect(LAN6) == Answer("c1", LAN6)
    assert w.host.connect("::1") == Answer("host", "::1")
    assert w.c2.connect(GATEWAY, 5002) == C1


@pytest.fixture
def neighbour(subject: Subject) -> Iterator[Subject]:
    """c2 sends what is for 127.0.0.0/8 to the gateway, as an attacker on the bridge would."""
    c2, host = subject.world.c2, subject.world.host
    host.run("sysctl -qw net.ipv4.conf.docker0.route_localnet=1")
    c2.run("sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo")
    c2.run(f"ip route add 127.0.0.0/8 via {GATEWAY} dev eth0 src 172.17.0.3")
    host_own = host.serve("own", 7004, "127.0.0.1")
    yield subject
    close_server(host_own)
    c2.run("ip route del 127.0.0.0/8; ip addr add 127.0.0.1/8 dev lo; sysctl -qw net.ipv4.conf.eth0.route_localnet=0")


def test_a_neighbour_does_not_reach_the_hosts_loopback(neighbour: Subject, any_bridge_nf: int) -> None:
    open_one = ruleset(redirect(from_loopback=True))
    neighbour.write(open_one)
    assert neighbour.world.c2.connect("127.0.0.1", 7004) is not None, "the hole is there without the guard"
    neighbour.write(ruleset(redirect(from_loopback=True), guard=True))
    assert neighbour.world.c2.connect("127.0.0.1", 7004) is None
    assert neighbour.world.host.connect("127.0.0.1") == C1, "the host's own way through loopback stays open"
    assert neighbour.world.host.connect("127.0.0.1", 7004) is not None


def test_the_destination_127_does_not_lead_a_neighbour_into_a_container(neighbour: Subject) -> None:
    neighbour.write(ruleset(redirect(from_own_bridge=True, from_elsewhere=True)))
    answer = neighbour.world.c2.connect("127.0.0.1")
    assert answer is None or answer.by == "host"


def everything() -> Ruleset:
    six = redirect(to_address="fd00:1::2", subnet="fd00:1::/64", from_own_bridge=True, from_elsewhere=True)
    pinned = redirect(port=5002, address=LAN, protocol="udp", from_elsewhere=True, container='odd "name"; $(x)')
    return ruleset(redirect(**dict.fromkeys(FLAGS, True)), pinned, six, guard=True, forward=True)


def test_writing_twice_is_writing_once(subject: Subject) -> None:
    subject.write(everything())
    once = subject.world.rules()
    assert subject.differences(everything()) == ()
    subject.write(everything())
    assert subject.world.rules() == once
    assert subject.differences(everything()) == ()


def test_a_smaller_ruleset_replaces_a_larger_one_completely(subject: Subject) -> None:
    small = ruleset(redirect(from_own_bridge=True))
    subject.write(small)
    text = subject.world.rules()
    subject.write(everything())
    assert subject.differences(small) != ()
    subject.write(small)
    assert subject.differences(small) == ()
    assert subject.world.rules() == text


def test_removing_leaves_what_was_there(subject: Subject) -> None:
    before = subject.world.rules()
    states = [subject.world.host.call(lambda f=f: read_saved(f, subject.variant)) for f in (4, 6)]  # type: ignore[misc]
    subject.write(everything())
    assert subject.world.rules() != before
    subject.remove()
    assert subject.world.rules() == before
    for family, state in zip((4, 6), states, strict=True):
        now = subject.world.host.call(lambda f=family: read_saved(f, subject.variant))  # type: ignore[misc]
        assert differences(normalised(state), normalised(now)) == ()
    subject.remove()
    assert subject.world.rules() == before


def test_facts_and_host_tell_the_same(subject: Subject) -> None:
    assert subject.writer.present_names(subject.facts()) == ()
    absent = subject.differences(everything())
    assert subject.writer.differences(everything(), subject.facts()) == absent != ()
    subject.write(everything())
    assert subject.writer.differences(everything(), subject.facts()) == ()
    assert subject.writer.present_names(subject.facts()) == ("bridging",)


def test_somebody_elses_edits_are_told_and_mended(subject: Subject) -> None:
    subject.write(everything())
    host = subject.world.host
    if subject.variant == "nft":
        host.run("nft insert rule ip remedy_bridging prerouting tcp dport 9 accept")
        host.run("nft delete element ip remedy_bridging elsewhere '{ tcp . 5001 }'")
        host.run("iptables-nft -A REMEDY-BRIDGING-FORWARD -s 9.9.9.9 -j DROP")
    else:
        host.run("iptables-legacy -t nat -I REMEDY-BRIDGING-PRE -p tcp --dport 9 -j ACCEPT")
        host.run("iptables-legacy -t nat -D REMEDY-BRIDGING-OUT 1")
        host.run("iptables-legacy -A REMEDY-BRIDGING-FORWARD -s 9.9.9.9 -j DROP")
    told = subject.differences(everything())
    assert len(told) == 3
    assert subject.writer.differences(everything(), subject.facts()) == told
    subject.write(everything())
    assert subject.differences(everything()) == ()


def test_a_thousand_redirects_are_written_at_once(subject: Subject) -> None:
    many = ruleset(*(redirect(port=20000 + n, to_port=n + 1, from_own_bridge=True) for n in range(1000)))
    started = time.monotonic()
    subject.write(many)
    seconds = time.monotonic() - started
    assert subject.differences(many) == ()
    assert seconds < 5


def test_the_cost_of_a_connection_with_nft_does_not_grow_with_the_ports(subject: Subject) -> None:
    if subject.variant == "legacy":
        pytest.skip("iptables-legacy has no maps")
    many = [redirect(port=20000 + n, to_port=n + 1, from_own_bridge=True) for n in range(1000)]
    subject.write(ruleset(*many, redirect(from_own_bridge=True)))
    assert subject.world.c2.connect(GATEWAY) == C1
    chains = subject.world.host.run("nft list table ip remedy_bridging")
    assert chains.count("dnat ip to") == 1


def test_other_gateways_are_reached_by_nobody_new(subject: Subject) -> None:
    subject.write(ruleset(redirect(from_own_bridge=True)))
    assert subject.world.c3.connect(OTHER_GATEWAY) == Answer("host", "172.18.0.2")
    assert subject.world.c2.connect(OTHER_GATEWAY) == C1, "every address of the host is meant"


def test_the_commands_by_hand_take_everything_away(subject: Subject) -> None:
    before = subject.world.rules()
    subject.write(everything())
    for command in removal_commands(everything(), BACKENDS[subject.variant]):
        subject.world.host.run(command)
    assert subject.world.rules() == before
