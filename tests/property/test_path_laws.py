"""Laws of the packet walk, on the recorded hosts and on rules made up for them."""

from __future__ import annotations

import json
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remedy.captures.facts import load_capture
from remedy.captures.files import capture_name, find_captures, read_capture
from remedy.captures.questions import read_questions
from remedy.facts.model import Address, HostFacts, IptablesTables
from remedy.facts.nft_json import parse_nft_table
from remedy.firewall.iptables_rules import OwnTable
from remedy.firewall.iptables_rules import tables as own_tables
from remedy.firewall.iptables_save import parse, render
from remedy.firewall.ruleset import Redirect, Ruleset
from remedy.netfilter.matches import UnknownMatch
from remedy.netfilter.rules import UnknownStatement
from remedy.paths.clients import CONTAINER_PREFIX, EXTERNAL, HOST
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort

# A busy machine is no failure.
unhurried = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

DIRECTORY = Path(__file__).parents[1] / "captures"
PATHS = {capture_name(path): path for path in find_captures(DIRECTORY)}
HOSTS = ("20.10.24-iptables-proxy-on-variant", "28.5.2-iptables-proxy-off-variant", "29.7.2-nftables-proxy-on")
Question = tuple[str, HostPort, Address | None]


@cache
def facts_of(name: str) -> HostFacts:
    return load_capture(read_capture(PATHS[name]))


@cache
def questions_of(name: str) -> tuple[Question, ...]:
    questionnaire = read_questions(read_capture(PATHS[name]))
    return tuple(_question(cell.questions[0].source, cell.questions[0].to) for cell in questionnaire.cells)


def _question(source: str, to: HostPort) -> Question:
    outsiders = {"external": ("10.98.0.254", "fd98::254"), "external2": ("10.98.0.66", "fd98::66")}
    if source in outsiders:
        return EXTERNAL, to, ip_address(outsiders[source][to.address.version == 6])
    return (HOST if source == HOST else CONTAINER_PREFIX + source), to, None


@cache
def walk_of(name: str) -> Datapath:
    return Datapath(facts_of(name))


def ask(datapath: Datapath, question: Question) -> Verdict:
    source, to, client = question
    return datapath.connect(source, to, client_address=client)


def outcome(verdict: Verdict) -> tuple[object, ...]:
    """All but the steps, in which rules are counted."""
    return verdict.reachable, verdict.via, verdict.by, verdict.source_seen, verdict.conntrack_entries, verdict.failure


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, Question]:
    name = draw(st.sampled_from(HOSTS))
    return name, draw(st.sampled_from(questions_of(name)))


@unhurried
@given(asked())
def test_the_same_facts_and_question_give_the_same_verdict(case: tuple[str, Question]) -> None:
    name, question = case
    first = ask(walk_of(name), question)
    assert ask(walk_of(name), question) == first
    assert ask(Datapath(facts_of(name)), question) == first


# Conditions that no packet of the recorded questions fulfils.
NEVER = st.sampled_from(
    [
        *("-s 198.18.0.0/15", "-d 198.18.7.7/32", "-i nosuch0", "-o nosuch+", "-p tcp -m tcp --dport 1:79", "-p sctp"),
        *("-m mark --mark 0x77", "-p icmp -m icmp --icmp-type 8", "-m iprange --dst-range 198.18.0.1-198.18.0.9"),
        *("-p udp -m multiport --dports 1,2,3", "-m conntrack --ctorigsrc 198.18.0.0/15"),
    ]
)
TARGETS = st.sampled_from(["DROP", "ACCEPT", "RETURN", "REJECT --reject-with icmp-port-unreachable", "NFQUEUE"])


def with_rule(facts: HostFacts, chain: str, position: int, specification: str) -> HostFacts:
    """The rule put into the filter table, before the chain's rule of this number or at its end."""
    changed = [_inserted(tables, chain, position, specification) for tables in facts.firewall.tables]
    return facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"tables": tuple(changed)})})


def _inserted(tables: IptablesTables, chain: str, position: int, specification: str) -> IptablesTables:
    if tables.family != 4:
        return tables
    before, mark, rest = tables.text.partition("*filter\n")
    body, end, after = rest.partition("COMMIT\n")
    lines = body.splitlines(keepends=True)
    own = [number for number, line in enumerate(lines) if line.startswith(f"-A {chain} ")]
    at = own[position % len(own)] if own else len(lines)
    lines.insert(at, f"-A {chain} {specification}\n")
    return tables.model_copy(update={"text": before + mark + "".join(lines) + end + after})


@unhurried
@given(asked(), st.sampled_from(["FORWARD", "INPUT", "OUTPUT"]), st.integers(0, 40), NEVER, TARGETS)
def test_a_rule_that_cannot_match_changes_nothing(
    case: tuple[str, Question], chain: str, position: int, never: str, target: str
) -> None:
    name, question = case
    changed = Datapath(with_rule(facts_of(name), chain, position, f"{never} -j {target}"))
    assert outcome(ask(changed, question)) == outcome(ask(walk_of(name), question))


@st.composite
def rulesets(draw: st.DrawFn, name: str) -> Ruleset:
    facts = facts_of(name)
    bridges = {n.id: n for n in facts.networks if n.bridge}
    places = [
        (c, e, p)
        for c in facts.containers
        for e in c.endpoints[:1]
        for p in c.ports
        if e.ipv4 is not None and e.network_id in bridges and p.host_address.version == 4
    ]
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=4, unique_by=lambda place: place[2].host_port))
    redirects = tuple(
        Redirect.model_validate(
            {
                "protocol": port.protocol.value,
                "address": None,
                "port": port.host_port,
                "to_address": str(endpoint.ipv4.ip),
                "to_port": port.container_port,
                "bridge": bridges[endpoint.network_id].bridge,
                "subnet": str(bridges[endpoint.network_id].subnets[0]),
                "container": container.name,
                "from_elsewhere": draw(st.booleans()),
                "from_host": draw(st.booleans()),
                "from_loopback": draw(st.booleans()),
            }
        )
        for container, endpoint, port in chosen
    )
    return Ruleset(
        name="bridging", redirects=redirects, engine_bridges=tuple(n.bridge for n in bridges.values() if n.bridge)
    )


@st.composite
def with_own_rules(draw: st.DrawFn) -> tuple[str, Question, Ruleset]:
    name = draw(st.sampled_from(HOSTS[:2]))
    return name, draw(st.sampled_from(questions_of(name))), draw(rulesets(name))


@unhurried
@given(with_own_rules())
def test_remedys_own_rules_added_and_taken_away_leave_every_verdict(case: tuple[str, Question, Ruleset]) -> None:
    name, question, ruleset = case
    before = ask(walk_of(name), question)
    added = add_own_rules(facts_of(name), ruleset)
    assert ask(Datapath(added), question).reachable is not None
    assert ask(Datapath(take_away_own_rules(added)), question) == before


def add_own_rules(facts: HostFacts, ruleset: Ruleset) -> HostFacts:
    """As the writer puts them: chains of remedy's, and a jump into each first in one of the kernel's."""
    texts = {(tables.family, tables.variant): tables for tables in facts.firewall.tables}
    variant = facts.firewall.tables[0].variant
    for own in own_tables(ruleset):
        known = texts.get((own.family, variant))
        before = known or IptablesTables(family=own.family, variant=variant, command="", text="")
        texts[own.family, variant] = before.model_copy(update={"text": _with_own(before.text, own)})
    return facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"tables": tuple(texts.values())})})


def _with_own(text: str, own: OwnTable) -> str:
    hooks = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING") if own.name == "nat" else ("PREROUTING", "OUTPUT")
    if f"*{own.name}\n" not in text:
        text += f"*{own.name}\n" + "".join(f":{hook} ACCEPT [0:0]\n" for hook in hooks) + "COMMIT\n"
    before, mark, rest = text.partition(f"*{own.name}\n")
    body, end, after = rest.partition("COMMIT\n")
    declared = [line for line in body.splitlines() if line.startswith(":")]
    declared += [f":{chain.name} - [0:0]" for chain in own.chains]
    jumps = [chain.jump.text for chain in own.chains]
    old = [line for line in body.splitlines() if not line.startswith(":")]
    rules = [rule.text for chain in own.chains for rule in chain.rules]
    return before + mark + "\n".join([*declared, *jumps, *old, *rules, ""]) + end + after


def take_away_own_rules(facts: HostFacts) -> HostFacts:
    """As the writer takes them away: every rule and chain with remedy's prefix."""
    kept = [
        tables.model_copy(update={"text": "".join(_foreign(tables.text.splitlines(keepends=True)))})
        for tables in facts.firewall.tables
    ]
    return facts.model_copy(update={"firewall": facts.firewall.model_copy(update={"tables": tuple(kept)})})


def _foreign(lines: list[str]) -> list[str]:
    return [line for line in lines if "REMEDY-" not in line]


@pytest.mark.parametrize("name", sorted(PATHS))
def test_rendering_what_was_parsed_gives_every_line_of_a_recorded_host(name: str) -> None:
    for tables in facts_of(name).firewall.tables:
        assert render(parse(tables.text)) == tables.text
    for table in facts_of(name).firewall.nft_json.values():
        assert parse_nft_table(json.dumps({"nftables": [{"metainfo": {}}, *table]})) == table


@pytest.mark.parametrize("name", sorted(PATHS))
def test_every_rule_of_a_recorded_host_is_known(name: str) -> None:
    unknown = [
        rule.text
        for table in walk_of(name).firewall.tables
        for chain in table.chains.values()
        for rule in chain.rules
        if any(isinstance(match, UnknownMatch) for match in rule.matches)
        or any(isinstance(statement, UnknownStatement) for statement in rule.statements)
    ]
    assert unknown == []
