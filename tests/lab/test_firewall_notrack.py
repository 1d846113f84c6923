"""Untracked pairs against the kernel, both writers: no entry for the pairs, everybody else tracked as before."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from firewall_world import TARGET_PORT, Answer, World, world

from remedy.facts.flows import TCP, UDP, Ends, read_between
from remedy.facts.model import FirewallBackend
from remedy.firewall.by_hand import removal_commands
from remedy.firewall.forward_guard import forward_guard
from remedy.firewall.ruleset import Ruleset, UntrackedPair
from remedy.firewall.writer import select_writer

pytestmark = pytest.mark.lab

BACKENDS = {"legacy": FirewallBackend.IPTABLES_LEGACY, "nft": FirewallBackend.IPTABLES_NFT}
DNS = 53
C1, C2 = {4: "172.17.0.2", 6: "fd00:1::2"}, {4: "172.17.0.3", 6: "fd00:1::3"}
KINDS = {TCP: socket.SOCK_STREAM, UDP: socket.SOCK_DGRAM}
# The engine's chain as on a network without icc: what is ESTABLISHED passes, and what an operator has opened.
WITHOUT_ICC = f"""*filter
-F DOCKER-FORWARD
-A DOCKER-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -i docker0 -o docker0 -p tcp -m tcp --dport {TARGET_PORT} -j ACCEPT
-A DOCKER-FORWARD -i docker0 -o docker0 -j DROP
COMMIT
"""


def pair(family: int, protocol: int, *, port: int | None = None) -> UntrackedPair:
    """c2 is the client, c1 the server."""
    return UntrackedPair.model_validate(
        {
            "protocol": "tcp" if protocol == TCP else "udp",
            "client_address": C2[family],
            "server_address": C1[family],
            "server_port": port or (TARGET_PORT if protocol == TCP else DNS),
            "bridge": "docker0",
            "client": "c2",
            "server": "c1",
            "network": "bridge",
        }
    )


ALL = tuple(pair(family, protocol) for family in (4, 6) for protocol in (TCP, UDP))


def ruleset(*pairs: UntrackedPair, forward: bool = False, ahead: bool = False) -> Ruleset:
    return Ruleset(name="notrack", untracked=pairs, forward_guard=forward, accept_ahead=ahead)


def entries(built: World, one: UntrackedPair) -> int:
    number = TCP if one.protocol == "tcp" else UDP
    ends = Ends(number, one.client_address, one.server_address, one.server_port)
    return built.host.call(lambda: len(list(read_between([ends]))))


@pytest.fixture(scope="module", params=BACKENDS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built(variant: str) -> Iterator[World]:
    with world() as made:
        made.engine_writes(variant)
        made.host.run("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1")
        made.servers += [made.c1.serve("c1", DNS, address, socket.SOCK_DGRAM) for address in ("0.0.0.0", C1[6])]
        # What makes conntrack watch IPv6, too: an engine's nat rules do.
        made.host.run(f"ip6tables-{variant} -t nat -A POSTROUTING -s fd00:1::/64 ! -o docker0 -j MASQUERADE")
        yield made


@pytest.fixture
def subject(built: World, variant: str) -> Iterator[World]:
    before = built.rules()
    built.host.run("conntrack -F 2>/dev/null")
    yield built
    built.host.call(lambda: select_writer(BACKENDS[variant]).remove("notrack"))
    assert built.rules() == before


def ask(built: World, one: UntrackedPair) -> Answer | None:
    number = TCP if one.protocol == "tcp" else UDP
    return built.c2.connect(str(one.server_address), one.server_port, kind=KINDS[number])


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"IPv{one.family} {one.protocol}")
def test_a_pair_leaves_no_entry_and_is_answered(subject: World, variant: str, one: UntrackedPair) -> None:
    assert ask(subject, one) == Answer("c1", str(one.client_address))
    assert entries(subject, one) == 1, "tracked without the rules"
    subject.host.run("conntrack -F 2>/dev/null")
    writer = select_writer(BACKENDS[variant])
    subject.host.call(lambda: writer.write(ruleset(*ALL)))
    assert subject.host.call(lambda: writer.read_differences(ruleset(*ALL))) == ()
    for _ in range(3):
        assert ask(subject, one) == Answer("c1", str(one.client_address))
    assert entries(subject, one) == 0


def test_other_pairs_are_tracked_as_before(subject: World, variant: str) -> None:
    subject.host.call(lambda: select_writer(BACKENDS[variant]).write(ruleset(pair(4, TCP, port=9))))
    other = pair(4, TCP)
    assert ask(subject, other) == Answer("c1", C2[4])
    assert entries(subject, other) == 1
    # The host's own connection to the same server, and a container's on another bridge.
    subject.host.call(lambda: select_writer(BACKENDS[variant]).write(ruleset(other)))
    assert subject.host.connect(C1[4], TARGET_PORT) == Answer("c1", "172.17.0.1")
    assert "src=172.17.0.1 dst=172.17.0.2" in subject.host.run("conntrack -L 2>/dev/null")


def test_what_only_established_lets_pass_is_accepted_by_pair(subject: World, variant: str) -> None:
    program = f"iptables-{variant}"
    before = subject.host.run(f"{program}-save -t filter")
    subject.host.run(f"{program}-restore --noflush", stdin=WITHOUT_ICC)
    one, writer = pair(4, TCP), select_writer(BACKENDS[variant])
    try:
        assert ask(subject, one) == Answer("c1", C2[4])
        subject.host.run("conntrack -F 2>/dev/null")
        subject.host.call(lambda: writer.write(ruleset(one)))
        assert ask(subject, one) is None, "the answer is dropped"
        subject.host.call(lambda: writer.write(ruleset(one, forward=True)))
        assert subject.host.call(lambda: writer.read_differences(ruleset(one, forward=True))) == ()
        assert ask(subject, one) == Answer("c1", C2[4])
        assert entries(subject, one) == 0
        # What an operator drops in DOCKER-USER stays dropped.
        subject.host.run(f"{program} -A DOCKER-USER -s {C2[4]} -j DROP")
        assert ask(subject, one) is None
        subject.host.run(f"{program} -D DOCKER-USER -s {C2[4]} -j DROP")
        for command in removal_commands(ruleset(one, forward=True), BACKENDS[variant]):
            subject.host.run(command)
        assert "REMEDY" not in subject.rules()
    finally:
        subject.host.call(lambda: writer.remove("notrack"))
        subject.host.run(f"{program}-restore --noflush", stdin=_chain(before, "DOCKER-FORWARD"))


def test_pairs_are_accepted_ahead_of_the_engines_rules_and_behind_the_operators(subject: World, variant: str) -> None:
    wanted, writer, backend = ruleset(*ALL, ahead=True), select_writer(BACKENDS[variant]), BACKENDS[variant]
    subject.host.call(lambda: writer.write(wanted))
    assert subject.host.call(lambda: writer.read_differences(wanted)) == ()
    for one in ALL:
        assert ask(subject, one) == Answer("c1", str(one.client_address))
        assert entries(subject, one) == 0
    for tool in ("iptables", "ip6tables"):
        saved = subject.host.run(f"{tool}-{variant}-save -c -t filter").splitlines()
        accepts = [line for line in saved if "remedy:docker0" in line]
        assert len(accepts) == 2, "TCP and UDP"
        assert not any(line.startswith("[0:0]") for line in accepts), "each packet ends here"
    # What an operator drops in DOCKER-USER stays dropped.
    one, program = pair(4, TCP), f"iptables-{variant}"
    subject.host.run(f"{program} -A DOCKER-USER -s {C2[4]} -j DROP")
    assert ask(subject, one) is None
    subject.host.run(f"{program} -D DOCKER-USER -s {C2[4]} -j DROP")
    # A start of the engine puts its rules in front. That is no difference, and put right by writing it again.
    guard = forward_guard(backend, wanted)
    subject.host.run(f"{program} -I FORWARD -j DOCKER-FORWARD")
    assert subject.host.call(guard.stands_behind)
    assert subject.host.call(lambda: writer.read_differences(wanted)) == ()
    assert ask(subject, one) == Answer("c1", C2[4])
    subject.host.call(lambda: writer.write(wanted))
    assert not subject.host.call(guard.stands_behind)
    subject.host.run(f"{program} -D FORWARD -j DOCKER-FORWARD")
    assert ask(subject, one) == Answer("c1", C2[4])


def test_the_jump_of_an_earlier_version_gives_way_and_either_is_removed_by_hand(subject: World, variant: str) -> None:
    wanted, writer = ruleset(*ALL, ahead=True), select_writer(BACKENDS[variant])
    comment = '-m comment --comment "remedy:notrack" -j REMEDY-NOTRACK-FORWARD'

    def as_earlier() -> None:
        for tool in ("iptables", "ip6tables"):
            subject.host.run(f"{tool}-{variant} -D FORWARD -m conntrack --ctstate UNTRACKED {comment}")
            subject.host.run(f"{tool}-{variant} -I FORWARD {comment}")

    subject.host.call(lambda: writer.write(wanted))
    as_earlier()
    assert len(subject.host.call(lambda: writer.read_differences(wanted))) == 2
    subject.host.call(lambda: writer.write(wanted))
    assert subject.host.call(lambda: writer.read_differences(wanted)) == ()
    for is_earlier in (True, False):
        subject.host.call(lambda: writer.write(wanted))
        if is_earlier:
            as_earlier()
        for command in removal_commands(wanted, BACKENDS[variant]):
            subject.host.run(command)
        assert "REMEDY" not in subject.rules()
        assert "remedy" not in subject.rules()


def _chain(saved: str, chain: str) -> str:
    rules = [line for line in saved.splitlines() if line.startswith(f"-A {chain} ")]
    return "\n".join(["*filter", f"-F {chain}", *rules, "COMMIT", ""])
