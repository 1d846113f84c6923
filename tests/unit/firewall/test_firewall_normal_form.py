"""Two states of a firewall are compared as promise 3 says."""

from __future__ import annotations

import random

import pytest

from remedy.firewall.iptables_save import parse
from remedy.firewall.normal_form import differences, normalised

OPERATORS_RULES = ("ufw", "-s 10.98.0.66/32", "--ctorigdstport 5013", "--dport 7005")


def state(*forward: str, policy: str = "ACCEPT", user: tuple[str, ...] = ()) -> str:
    rules = "".join(f"-A FORWARD {rule}\n" for rule in forward)
    rules += "".join(f"-A DOCKER-USER {rule}\n" for rule in user)
    return f"*filter\n:FORWARD {policy} [0:0]\n:DOCKER-USER - [0:0]\n{rules}COMMIT\n"


def changes(before: str, after: str) -> tuple[str, ...]:
    return differences(normalised(before), normalised(after))


def test_on_real_hosts_only_the_operators_rules_are_foreign(recorded: str) -> None:
    foreign = [rule for chain in normalised(recorded).chains for rule in chain.foreign]
    assert all("ufw" in chain.chain or not chain.own for chain in normalised(recorded).chains)
    for rule in foreign:
        is_ufws = rule.startswith(("-A ufw", "-A INPUT"))
        assert is_ufws or any(part in rule for part in OPERATORS_RULES), rule


def test_a_real_host_is_the_same_after_the_engine_reordered_its_rules(recorded: str) -> None:
    lines = recorded.split("\n")
    foreign = {rule for chain in normalised(recorded).chains for rule in chain.foreign}
    engine = [i for i, line in enumerate(lines) if "-A " in line and line.partition("] ")[2] not in foreign]
    places = {}
    for table in parse(recorded).tables:
        for rule in table.rules:
            places.setdefault((table.name, rule.chain), []).append(rule.text)
    shuffled = list(lines)
    for texts in places.values():
        own = [i for i in engine if lines[i] in texts]
        moved = own[:]
        random.Random(1).shuffle(moved)
        for source, target in zip(own, moved, strict=True):
            shuffled[target] = lines[source]
    assert changes(recorded, "\n".join(shuffled)) == ()


def test_counters_and_dates_do_not_count() -> None:
    assert changes(state("-j DOCKER-USER"), "# other\n" + state("-j DOCKER-USER").replace("0:0", "9:9")) == ()


def test_the_order_of_foreign_rules_counts() -> None:
    before, after = state("-s 1.1.1.1/32 -j DROP", "-j MINE"), state("-j MINE", "-s 1.1.1.1/32 -j DROP")
    assert changes(before, after) == ("filter FORWARD: foreign rules are in another order",)


def test_the_order_between_the_engines_and_foreign_rules_does_not() -> None:
    before, after = state("-j DOCKER-USER", "-j MINE"), state("-j MINE", "-j DOCKER-USER")
    assert changes(before, after) == ()


def test_rules_in_docker_user_are_the_operators() -> None:
    rules = ("-s 1.1.1.1/32 -j DROP", "-s 2.2.2.2/32 -j DROP")
    assert changes(state(user=rules), state(user=rules[::-1])) == (
        "filter DOCKER-USER: foreign rules are in another order",
    )
    assert changes(state(user=(*rules, "-j RETURN")), state(user=("-j RETURN", *rules))) == ()


def test_the_number_of_the_engines_rules_counts() -> None:
    once, twice = state("-o docker0 -j DOCKER"), state("-o docker0 -j DOCKER", "-o docker0 -j DOCKER")
    assert changes(once, twice) == ("filter FORWARD: engine rule appeared: -A FORWARD -o docker0 -j DOCKER",)


def test_a_policy_is_a_difference() -> None:
    assert changes(state(), state(policy="DROP")) == ("filter FORWARD: the policy was ACCEPT, is DROP",)


def test_what_is_left_of_remedy_is_told() -> None:
    after = state("-m comment --comment remedy -j REMEDY-BRIDGING-FORWARD").replace(
        ":DOCKER-USER", ":REMEDY-BRIDGING-FORWARD - [0:0]\n:DOCKER-USER"
    )
    assert changes(state(), after) == (
        "filter FORWARD: own rule appeared: -A FORWARD -m comment --comment remedy -j REMEDY-BRIDGING-FORWARD",
        "filter REMEDY-BRIDGING-FORWARD: own chain appeared",
    )


def test_an_empty_table_with_accept_policies_does_not_count() -> None:
    empty = "*raw\n:PREROUTING ACCEPT [5:6]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    assert changes("", empty) == () == changes(empty, "")
    assert changes("", empty.replace("OUTPUT ACCEPT", "OUTPUT DROP")) == ("raw OUTPUT: the policy was ACCEPT, is DROP",)
    assert changes(state(), "") == ("filter DOCKER-USER: engine chain is gone",)


@pytest.mark.parametrize(
    ("table", "chain", "rule"),
    [
        ("nat", "POSTROUTING", "-s 172.30.0.0/16 ! -o br-1 -j SNAT --to-source 10.0.0.9"),
        ("nat", "POSTROUTING", "-s 172.17.0.2/32 -d 172.17.0.2/32 -p udp -m udp --dport 53 -j MASQUERADE"),
        ("nat", "PREROUTING", "-m addrtype --dst-type LOCAL -j DOCKER-INGRESS"),
        ("filter", "FORWARD", "-m set --match-set docker-ext-bridges-v4 dst -j DOCKER"),
        ("raw", "PREROUTING", "-d 172.17.0.2/32 ! -i docker0 -p tcp -m tcp --dport 80 -j DROP"),
        ("raw", "PREROUTING", "-d 172.17.0.2/32 -i vxlan.1 -j ACCEPT"),
    ],
)
def test_rules_that_no_capture_has_are_known_from_the_engines_source(table: str, chain: str, rule: str) -> None:
    (form,) = normalised(f"*{table}\n:{chain} ACCEPT [0:0]\n-A {chain} {rule}\nCOMMIT\n").chains
    assert (form.engine, form.foreign) == ((f"-A {chain} {rule}",), ())


@pytest.mark.parametrize(
    ("table", "chain", "rule"),
    [
        ("nat", "POSTROUTING", "-s 172.17.0.2/32 -d 172.17.0.3/32 -p udp -m udp --dport 53 -j MASQUERADE"),
        ("nat", "POSTROUTING", "-s 10.0.0.0/8 -j MASQUERADE"),
        ("nat", "PREROUTING", "-p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"),
        ("filter", "FORWARD", "-i docker0 -o br-1 -j ACCEPT"),
        ("filter", "FORWARD", "-i eth0 -j DOCKER-USER"),
        ("filter", "INPUT", "-i docker0 -j ACCEPT"),
        ("raw", "PREROUTING", "-s 10.0.0.1/32 -j DROP"),
    ],
)
def test_rules_that_only_look_like_the_engines_are_foreign(table: str, chain: str, rule: str) -> None:
    (form,) = normalised(f"*{table}\n:{chain} ACCEPT [0:0]\n-A {chain} {rule}\nCOMMIT\n").chains
    assert (form.engine, form.foreign) == ((), (f"-A {chain} {rule}",))
