"""All rules of a host: which tables, and in which order the kernel asks those of one priority."""

from __future__ import annotations

from path_samples import host

from remedy.facts.model import IptablesTables
from remedy.paths.rules_of_host import rule_tables

NAT = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"


def test_tables_made_last_are_asked_first() -> None:
    facts = host()
    tables = IptablesTables(family=4, variant="nft", command="", text=NAT)
    for made in (("ip nat", "inet own"), ("inet own", "ip nat")):
        changes = {"tables": (tables,), "nft_tables": made, "nft_json": {"inet own": []}}
        changed = facts.model_copy(update={"firewall": facts.firewall.model_copy(update=changes)})
        names = {"ip nat": "iptables nat", "inet own": "nft inet own"}
        assert [table.name for table in rule_tables(changed)] == [names[name] for name in reversed(made)]
