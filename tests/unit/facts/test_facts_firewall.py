"""Rules: which way the engine writes them, what is read, and above all what is never touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from recorded_facts import document, text

from remedy.errors import CommandError
from remedy.facts import firewall, ipsets, nft_json
from remedy.facts.engine import EngineProcess
from remedy.facts.firewall import (
    Iptables,
    choose_backend,
    find_iptables,
    parse_nft_tables,
    proxy_witnesses,
    read_firewall,
    variant_of,
    without_dates,
)
from remedy.facts.model import FirewallBackend, FirewallFacts, IptablesTables
from remedy.facts.nft_json import parse_nft_table, tables_for_json
from remedy.facts.unread import Notes
from remedy.host.commands import Completed

LEGACY_INFO = {"ServerVersion": "26.1.5"}
Commands = list[tuple[str, ...]]
Answers = dict[str, str]
Host = Callable[..., tuple[FirewallFacts, Commands, Notes]]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose programs answer what the test says, and which notes what was run."""

    def read(
        *,
        iptables: str,
        legacy4: str | None = None,
        legacy6: str | None = None,
        answers: Answers,
        info: object = None,
        nft_tables: tuple[str, ...] | None = None,
    ) -> tuple[FirewallFacts, Commands, Notes]:
        commands: Commands = []

        def run(arguments: list[str], **_: object) -> Completed:
            commands.append(tuple(arguments))
            name = Path(arguments[0]).name
            output = f"iptables v1.8.9 ({iptables})" if name == "iptables" else None
            output = output or next((text for key, text in answers.items() if key in " ".join(arguments)), None)
            if output is None:
                raise CommandError(f"{name} failed with status 1", why="no such thing")
            return Completed(tuple(arguments), 0, output, "")

        lists = {}
        for family, names in ((4, legacy4), (6, legacy6)):
            lists[family] = tmp_path / f"names{family}"
            if names is not None:
                lists[family].write_text(names)
        programs = tmp_path / "bin"
        programs.mkdir()
        for program in ("iptables", "iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save"):
            (programs / program).touch(mode=0o755)
        for module in (firewall, ipsets, nft_json):
            monkeypatch.setattr(module, "run_command", run)
        monkeypatch.setattr(firewall, "_LEGACY_TABLE_LISTS", lists)
        monkeypatch.setattr(firewall, "_nf_tables_is_loaded", lambda: nft_tables is not None)
        monkeypatch.setattr(firewall, "dump", lambda *_: pytest.fail("asked") if nft_tables is None else [])
        monkeypatch.setattr(firewall, "parse_nft_tables", lambda _: nft_tables or ())
        monkeypatch.setattr(firewall, "_entering_prefix", lambda engine: ())
        engine = EngineProcess(1, ("dockerd",), {"PATH": f"relative:/nonexistent:{programs}"}, None)
        notes = Notes()
        facts = read_firewall(info or LEGACY_INFO, engine, [], notes)
        return facts, [(Path(first).name, *rest) for first, *rest in commands], notes

    return read


def test_the_engines_variant_is_read_and_no_legacy_table_is_touched(host: Host) -> None:
    answers = {
        "iptables-nft-save": text("recorded-28.5", "iptables-nft-save.txt"),
        "nft --version": "nftables v1.1.7 (Commodore Bullmoose #8)",
        "ip6tables-nft-save": "*nat\nCOMMIT\n",
    }
    facts, commands, notes = host(iptables="nf_tables", answers=answers, nft_tables=("ip nat", "ip6 filter"))
    assert facts.backend is FirewallBackend.IPTABLES_NFT
    assert [(table.family, table.variant) for table in facts.tables] == [(4, "nft"), (6, "nft")]
    assert facts.nft_version == "1.1.7"
    assert not any("legacy" in word for command in commands for word in command)
    assert notes.sorted() == ()


def test_only_existing_legacy_tables_are_read_each_by_name(host: Host) -> None:
    answers = {"-t nat": "*nat\n-A A -j B\nCOMMIT\n", "-t filter": "*filter\nCOMMIT\n"}
    facts, commands, notes = host(iptables="legacy", legacy4="nat\nfilter\n", legacy6="", answers=answers)
    assert facts.backend is FirewallBackend.IPTABLES_LEGACY
    assert [table.text for table in facts.tables] == ["*filter\nCOMMIT\n*nat\n-A A -j B\nCOMMIT\n"]
    assert commands == [
        ("iptables", "--version"),
        ("iptables-legacy-save", "-t", "filter"),
        ("iptables-legacy-save", "-t", "nat"),
    ]
    assert notes.sorted() == ()


def test_the_other_variant_is_read_where_it_has_rules(host: Host) -> None:
    answers = {
        "iptables-nft-save": "*filter\n-A INPUT -j DROP\nCOMMIT\n",
        "iptables-legacy-save": "*nat\nCOMMIT\n",
        "nft --version": "nftables v1.0.6",
    }
    facts, _, _ = host(iptables="legacy", legacy4="nat\n", answers=answers, nft_tables=("ip filter", "inet x"))
    assert [(table.family, table.variant) for table in facts.tables] == [(4, "legacy"), (4, "nft")]


def test_on_a_legacy_host_without_nf_tables_nft_is_not_even_asked(host: Host) -> None:
    _, commands, _ = host(iptables="legacy", legacy4="nat\n", answers={"iptables-legacy-save": "*nat\nCOMMIT\n"})
    assert not [command for command in commands if command[0] == "nft"]


def test_a_program_that_fails_is_noted_and_the_rest_is_read(host: Host) -> None:
    answers = {"-t nat": "*nat\nCOMMIT\n"}
    facts, _, notes = host(iptables="legacy", legacy4="nat\nfilter\n", answers=answers)
    assert facts.tables == ()
    assert [note.item for note in notes.sorted()] == ["firewall: legacy tables of IPv4"]
    assert notes.sorted()[0].reason == "iptables-legacy-save failed with status 1: no such thing"


def test_every_table_that_iptables_does_not_show_is_read_as_json_without_counters(host: Host) -> None:
    tables = ("ip docker-bridges", "ip6 docker-bridges", "inet remedy", "inet firewalld")
    answers = {
        "list table": json.dumps({"nftables": [{"metainfo": {"version": "1"}}, {"chain": {"name": "c"}}]}),
        "nft --version": "nftables v1.1.7",
    }
    info = document("29.7.2-nftables-proxy-on", "docker-info.json")
    facts, commands, _ = host(iptables="nf_tables", answers=answers, info=info, nft_tables=tables)
    assert facts.backend is FirewallBackend.NFTABLES
    assert facts.nft_tables == tables
    assert list(facts.nft_json) == list(tables)
    assert facts.nft_json["inet remedy"] == [{"chain": {"name": "c"}}]
    assert ("nft", "--json", "--stateless", "list", "table", "inet", "remedy") in commands
    assert not any("ruleset" in command for command in commands)


def test_rules_that_iptables_cannot_show_are_said_to_be_missing(host: Host) -> None:
    answers = {
        "iptables-nft-save": "# Table `nat' is incompatible, use 'nft' tool.\n*filter\nCOMMIT\n",
        "ip6tables-nft-save": "",
        "nft --version": "nftables v1.1.7",
    }
    _, _, notes = host(iptables="nf_tables", answers=answers, nft_tables=("ip filter", "ip6 filter"))
    assert ("firewall: nft tables of IPv4", "table nat has rules that only nft can show") in [
        (note.item, note.reason) for note in notes.sorted()
    ]


@pytest.mark.parametrize(("rule", "saved"), [("-m set --match-set a src", "create a hash:ip\n"), ("-s 1.2.3.4", "")])
def test_ipsets_are_read_only_where_a_rule_asks_for_one(host: Host, rule: str, saved: str) -> None:
    answers = {
        "-t filter": f"*filter\n-A FORWARD {rule} -j DROP\nCOMMIT\n",
        "ipset save": "create a hash:ip\n",
    }
    facts, commands, _ = host(iptables="legacy", legacy4="filter\n", answers=answers)
    assert bool(facts.ipsets) is bool(saved)
    assert (("ipset", "save") in commands) is bool(saved)


def test_ufw_is_noticed_by_its_chains(host: Host) -> None:
    answers = {"-t filter": "*filter\n:ufw-user-input - [0:0]\nCOMMIT\n"}
    facts, _, _ = host(iptables="legacy", legacy4="filter\n", answers=answers)
    assert facts.ufw_active


def test_only_the_dated_comments_are_taken_out() -> None:
    saved = text("recorded-28.5", "iptables-nft-save.txt")
    assert "# Generated by iptables-nft-save" in saved
    stripped = without_dates(saved)
    dated = [line for line in saved.splitlines() if line.startswith(("# Generated by", "# Completed on"))]
    assert len(dated) >= 4
    assert stripped.splitlines() == [line for line in saved.splitlines() if line not in dated]
    odd = '*nat\n-A X -m comment --comment "# Completed on \\" x" -j Y  \n# other\n\nCOMMIT'
    assert without_dates(odd) == odd


@pytest.mark.parametrize(
    ("version", "variant"),
    [
        ("iptables v1.8.9 (nf_tables)", "nft"),
        ("iptables v1.8.13 (legacy)", "legacy"),
        ("iptables v1.6.1", "legacy"),
    ],
)
def test_the_variant_is_read_from_the_version(version: str, variant: str) -> None:
    assert variant_of(version) == variant


def test_what_docker_info_says_of_the_backend_counts_first() -> None:
    nft = Iptables("/usr/sbin/iptables", "iptables v1.8.9 (nf_tables)", "nft")
    own = document("29.7.2-nftables-proxy-on", "docker-info.json")
    assert choose_backend(own, nft).kind is FirewallBackend.NFTABLES
    assert (
        choose_backend({"FirewallBackend": {"Driver": "iptables+firewalld"}}, nft).kind is FirewallBackend.IPTABLES_NFT
    )
    assert choose_backend({}, None).evidence.startswith("assumed")


def test_an_engine_without_iptables_in_its_path_is_an_error(tmp_path: Path) -> None:
    from remedy.errors import MissingToolError

    with pytest.raises(MissingToolError):
        find_iptables(EngineProcess(1 << 22, ("dockerd",), {"PATH": str(tmp_path)}, None))


def test_tables_are_listed_and_chosen_by_name() -> None:
    datagrams = [bytes.fromhex(line) for line in text("recorded-28.5", "nft-tables.hex").splitlines()]
    assert parse_nft_tables(datagrams) == (
        "ip nat",
        "ip filter",
        "ip docker-bridges",
        "ip6 docker-bridges",
        "inet remedy",
        "inet firewalld",
        "bridge x",
    )
    assert parse_nft_tables([]) == ()
    assert parse_nft_table('{"nftables": [{"metainfo": {}}, {"chain": {}}]}') == [{"chain": {}}]


def saved(family: Literal[4, 6], text: str, variant: Literal["legacy", "nft"] = "nft") -> IptablesTables:
    return IptablesTables(family=family, variant=variant, command="iptables-save", text=text)


def test_only_tables_that_iptables_has_not_shown_are_wanted_as_json() -> None:
    tables = ("ip nat", "ip filter", "ip6 filter", "inet filter", "bridge filter", "ip remedy_x")
    foreign = ["inet filter", "bridge filter", "ip remedy_x"]
    shown = saved(4, "# Table `filter' is incompatible, use 'nft' tool.\n*nat\nCOMMIT\n")
    assert list(tables_for_json(tables, [shown, saved(6, "*filter\nCOMMIT\n")])) == ["ip filter", *foreign]
    # Where the program failed, or only the other variant was read, JSON is better than nothing.
    assert list(tables_for_json(tables, [saved(4, "*nat\nCOMMIT\n", "legacy")])) == list(tables)


def test_a_foreign_table_that_cannot_be_read_is_no_gap_in_the_engines_rules(host: Host) -> None:
    info = document("29.7.2-nftables-proxy-on", "docker-info.json")
    tables = ("ip docker-bridges", "ip6 remedy_bridging", "inet firewalld")
    answers = {"nft --version": "nftables v1.1.7"}
    _, _, notes = host(iptables="nf_tables", answers=answers, info=info, nft_tables=tables)
    assert [note.item for note in notes.sorted()] == [
        "firewall: nft table ip docker-bridges",
        "firewall: nft table ip6 remedy_bridging",
        "foreign rules: nft table inet firewalld",
    ]


def test_sets_are_read_that_a_rule_names_and_those_in_them_and_no_others(host: Host) -> None:
    rules = "*filter\n-A X -m set --match-set ext src,dst -j A\n-A X -m set ! --match-set all dst -j B\nCOMMIT\n"
    answers = {
        "-t filter": rules,
        "ipset save": "create ext hash:net family inet hashsize 64\nadd ext 10.0.0.0/8\nadd ext 10.1.0.0/16 nomatch\n"
        "create all list:set size 8\ncreate inner hash:ip family inet6\nadd all inner\nadd inner fd00::1\n"
        "create other hash:ip family inet\nadd other 1.1.1.1\n",
    }
    facts, _, notes = host(iptables="legacy", legacy4="filter\n", answers=answers)
    assert [(found.name, found.kind, found.members) for found in facts.ipsets] == [
        ("all", "list:set", ("inner",)),
        ("ext", "hash:net", ("10.0.0.0/8", "10.1.0.0/16 nomatch")),
        ("inner", "hash:ip", ("fd00::1",)),
    ]
    assert facts.ipsets[1].options == "family inet hashsize 64"
    assert notes.sorted() == ()


def test_without_a_rule_that_names_a_set_ipset_is_not_even_asked(host: Host) -> None:
    facts, commands, _ = host(iptables="legacy", legacy4="filter\n", answers={"-t filter": "*filter\nCOMMIT\n"})
    assert facts.ipsets == ()
    assert not [command for command in commands if command[0] == "ipset"]


@pytest.mark.parametrize("answer", [{}, {"ipset save": "create other hash:ip family inet\n"}])
def test_a_set_that_cannot_be_read_is_said_to_be_missing(host: Host, answer: Answers) -> None:
    rules = {"-t filter": "*filter\n-A X -m set --match-set ext src -j A\nCOMMIT\n"}
    facts, _, notes = host(iptables="legacy", legacy4="filter\n", answers={**rules, **answer})
    assert facts.ipsets == ()
    assert [note.item for note in notes.sorted()] == ["ipsets"]


def test_the_backends_own_rules_witness_the_proxy() -> None:
    facts = FirewallFacts(
        backend=FirewallBackend.NFTABLES,
        backend_evidence="",
        iptables_version=None,
        nft_version=None,
        tables=(),
        nft_tables=("ip docker-bridges",),
        nft_json={"ip docker-bridges": document("29.7.2-nftables-proxy-on", "nft.json")["nftables"]},
    )
    assert proxy_witnesses(facts) == [True]
