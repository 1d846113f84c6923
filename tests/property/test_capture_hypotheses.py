"""What is predicted of a recorded host with the proxy switched, held against the host that really was switched."""

from __future__ import annotations

import re

import pytest
from captured import facts, files

from remedy.captures.answers import Answerer, with_bridge_nf
from remedy.captures.questions import BridgeNf, read_questions
from remedy.captures.report import lines_of
from remedy.captures.score import score
from remedy.facts.model import HostFacts
from remedy.firewall.engine_rules import is_engine_rule
from remedy.firewall.iptables_save import parse
from remedy.firewall.saved_edit import EditableRules
from remedy.paths.hypothesis import with_containers_restarted, with_hairpin_mode, with_userland_proxy
from remedy.paths.walk import Datapath

HOSTS = ("20.10.24-iptables", "26.1.5-iptables", "28.5.2-iptables", "29.7.2-iptables", "29.7.2-nftables")
VARIANTS = ("20.10.24-iptables", "28.5.2-iptables")
LATE = "172.17.0.10"  # of the container that the flipped hosts have beyond the others


def assert_agrees(
    host: HostFacts, truth: str, settings: tuple[BridgeNf, ...] = (BridgeNf.ON,), shared_with: str | None = None
) -> None:
    """Every cell of the capture `truth` (of those that `shared_with` has, too) is predicted right."""
    questionnaire = read_questions(files(truth))
    cells = questionnaire.cells
    if shared_with is not None:
        known = {cell.questions[0].cell for cell in read_questions(files(shared_with)).cells}
        cells = tuple(cell for cell in cells if cell.questions[0].cell in known)
    walks = {setting: Datapath(with_bridge_nf(host, setting)) for setting in settings}
    answerer = Answerer(walks, questionnaire.external)
    answered = [
        (cell, tuple((q, answerer.answer(q)) for q in cell.questions if q.bridge_nf in settings)) for cell in cells
    ]
    result = score(truth, answered, is_scored=True)
    assert result.cells >= 700
    assert (result.wrong, result.unknown) == (0, 0), "\n".join(lines_of(result))


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_switched_off_is_predicted(host):
    proxy_on = f"{host}-proxy-on"
    predicted = with_userland_proxy(facts(proxy_on), on=False)
    assert_agrees(predicted, f"{host}-proxy-off-flip", tuple(BridgeNf), shared_with=proxy_on)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_switched_off_with_hairpin_mode_is_one_that_started_so(host):
    predicted = with_hairpin_mode(with_userland_proxy(facts(f"{host}-proxy-on"), on=False))
    assert_agrees(predicted, f"{host}-proxy-off")


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_switched_on_again_is_predicted_with_the_ipv6_proxies_that_it_had(host):
    predicted = with_userland_proxy(facts(f"{host}-proxy-off-flip"), on=True)
    if host.startswith("20.10"):
        predicted = without_leftovers(predicted)
    assert_agrees(predicted, f"{host}-proxy-on")
    late = [str(proxy.host_address) for proxy in predicted.docker_proxies if str(proxy.container_address) == LATE]
    assert late == ["0.0.0.0"]


@pytest.mark.parametrize("host", VARIANTS)
def test_every_kind_of_network_and_binding_is_predicted_in_both_directions(host):
    proxy_on, proxy_off = f"{host}-proxy-on-variant", f"{host}-proxy-off-variant"
    assert_agrees(with_containers_restarted(with_userland_proxy(facts(proxy_on), on=False)), proxy_off)
    # These containers started without the proxy; hairpin_mode off says that they had not.
    back = with_userland_proxy(with_hairpin_mode(facts(proxy_off), on=False), on=True)
    assert_agrees(without_leftovers(back) if host.startswith("20.10") else back, proxy_on)


@pytest.mark.parametrize(
    ("before", "after"),
    [(f"{host}-proxy-on", f"{host}-proxy-off-flip") for host in HOSTS[:-1]]
    + [(f"{host}-proxy-on-variant", f"{host}-proxy-off-variant") for host in VARIANTS],
)
def test_the_rules_are_those_that_the_engine_writes(before, after):
    assert rules(with_userland_proxy(facts(before), on=False)) == rules(facts(after))
    back = with_userland_proxy(facts(after), on=True)
    assert rules(without_leftovers(back) if before.startswith("20.10") else back) == rules(facts(before))


@pytest.mark.parametrize("name", [f"{host}-proxy-on" for host in HOSTS] + [f"{host}-proxy-off" for host in HOSTS])
def test_what_is_so_already_changes_nothing(name):
    known = facts(name)
    assert with_userland_proxy(known, on=known.engine.userland_proxy is True) is known


def test_20_10_leaves_its_masquerade_of_the_host_behind_and_later_engines_do_not():
    for host, stays in (("20.10.24-iptables", True), ("26.1.5-iptables", False)):
        back = with_userland_proxy(facts(f"{host}-proxy-off"), on=True)
        assert ("--src-type LOCAL" in back.firewall.tables[0].text) is stays


def test_a_container_that_started_without_the_proxy_gets_no_ipv6_proxy_until_it_restarts():
    back = with_userland_proxy(facts("28.5.2-iptables-proxy-off"), on=True)
    assert {proxy.host_address.version for proxy in back.docker_proxies} == {4}


@pytest.mark.parametrize("name", ["20.10.24-iptables-proxy-on-variant-ufw", "28.5.2-iptables-proxy-on-variant-ufw"])
def test_foreign_rules_stay_where_they_are(name):
    known = facts(name)
    rule = "-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -m mark --mark 0x1 -j MASQUERADE"
    text = known.firewall.tables[0].text.replace("\n-A POSTROUTING", f"\n{rule}\n-A POSTROUTING", 1)
    tables = (known.firewall.tables[0].model_copy(update={"text": text}), *known.firewall.tables[1:])
    changed = known.model_copy(update={"firewall": known.firewall.model_copy(update={"tables": tables})})
    assert rule in foreign(changed)[0]
    assert foreign(with_userland_proxy(changed, on=False)) == foreign(changed)


@pytest.mark.parametrize(
    ("name", "forward"),
    [
        ("20.10.24-iptables-proxy-on", ["DOCKER-ISOLATION-STAGE-1", "first", "DOCKER-USER"]),
        ("28.5.2-iptables-proxy-on", ["DOCKER-USER", "DOCKER-FORWARD", "first", "last"]),
    ],
)
def test_the_engine_puts_its_rules_around_foreign_ones_as_measured(name, forward):
    known = facts(name)
    rules = EditableRules(known.firewall.tables[0].text)
    for table, chain in AROUND:
        first, last = (f"-A {chain} -p 9{n} -m comment --comment {word} -j ACCEPT" for n, word in enumerate(ENDS))
        rules.put(table, chain, [first, *rules.rules(table, chain), last])
    saved = known.firewall.tables[0].model_copy(update={"text": rules.text})
    tables = (saved, *known.firewall.tables[1:])
    changed = known.model_copy(update={"firewall": known.firewall.model_copy(update={"tables": tables})})
    after = EditableRules(with_userland_proxy(changed, on=False).firewall.tables[0].text)
    words = {place: [word_of(rule) for rule in after.rules(*place)] for place in AROUND}
    assert words["nat", "PREROUTING"] == words["nat", "OUTPUT"] == ["first", "last", "DOCKER"]
    postrouting = words["nat", "POSTROUTING"]
    assert postrouting[:3] == ["MASQUERADE", "MASQUERADE", "first"]
    assert (postrouting[-1] == "last") is name.startswith("20.10")  # later engines append a port's own then
    assert words["filter", "FORWARD"][: len(forward)] == forward


AROUND = (("nat", "PREROUTING"), ("nat", "OUTPUT"), ("nat", "POSTROUTING"), ("filter", "FORWARD"))
ENDS = ("first", "last")


def word_of(rule: str) -> str:
    found = re.search(r"--comment (\w+)", rule) or re.search(r"-j (\S+)", rule)
    assert found is not None
    return found[1]


# --- what the comparison leaves out --------------------------------------------------------------------------------


def foreign(host: HostFacts) -> list[list[str]]:
    """The rules that the engine does not write, family by family, in order."""
    families = [parse(table.text).tables for table in host.firewall.tables]
    return [[r.text for table in tables for r in table.rules if not is_engine_rule(r)] for tables in families]


def without_leftovers(host: HostFacts) -> HostFacts:
    """As remedy leaves a host with 20.10: it takes away what the engine forgets (moby 44721)."""
    tables = tuple(
        table.model_copy(update={"text": re.sub(r"-A POSTROUTING .*--src-type LOCAL .*\n", "", table.text)})
        for table in host.firewall.tables
    )
    return host.model_copy(update={"firewall": host.firewall.model_copy(update={"tables": tables})})


def rules(host: HostFacts) -> dict[int, list[str]]:
    """All rules by family, networks by name; the engine's order within a chain differs from start to start."""
    found = {}
    for table in host.firewall.tables:
        text = table.text
        for network in host.networks:
            if network.bridge:
                text = text.replace(network.bridge, f"br-{network.name}")
        found[table.family] = sorted(line for line in text.splitlines() if line.startswith("-A ") and LATE not in line)
    return found
