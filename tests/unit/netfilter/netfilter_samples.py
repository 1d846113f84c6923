"""Packets, a host around them, and rules from short texts."""

from __future__ import annotations

from ipaddress import ip_address

from remedy.facts.model import Address
from remedy.netfilter.evaluate import Firewall, Outcome, Translation
from remedy.netfilter.from_iptables import tables_from_iptables
from remedy.netfilter.from_nft import table_from_nft
from remedy.netfilter.packet import Flow, Packet
from remedy.netfilter.rules import Hook, RuleTable

LOCAL = ip_address("10.98.0.10")


class Surroundings:
    """A host with one own address; every source's way back is by eth0."""

    def address_type(self, address: Address, interface: str | None = None) -> str:
        return "LOCAL" if address == LOCAL and interface in (None, "eth0") else "UNICAST"

    def arrives_by_its_way_back(self, packet: Packet, *, strict: bool, by_mark: bool = False) -> bool | None:
        return packet.in_interface == "eth0" or not strict


def packet(**changes: object) -> Packet:
    """A TCP SYN from 10.98.0.254 by eth0 to 172.17.0.2:8080 by docker0; source and destination may be texts."""
    words = {name: changes.pop(name) for name in ("source", "destination", "sport", "dport") if name in changes}
    flow = Flow(
        ip_address(words.get("source", "10.98.0.254")),
        words.get("sport", 45000),
        ip_address(words.get("destination", "172.17.0.2")),
        words.get("dport", 8080),
    )
    found = Packet(
        family=flow.source.version,
        protocol="tcp",
        flow=flow,
        original=flow,
        in_interface="eth0",
        out_interface="docker0",
    )
    return found._replace(**changes)


def iptables(*rules: str, table: str = "filter", family: int = 4, policy: str = "ACCEPT") -> tuple[RuleTable, ...]:
    """`-A CHAIN ...` lines as a table; chains that are none of the kernel's are declared."""
    own = {rule.split()[1] for rule in rules} - {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
    hooks = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}
    declared = [f":{hook} {policy} [0:0]" for hook in hooks.get(table, ("PREROUTING", "FORWARD", "OUTPUT"))]
    declared += [f":{chain} - [0:0]" for chain in sorted(own)]
    text = "\n".join([f"*{table}", *declared, *rules, "COMMIT", ""])
    return tables_from_iptables(text, family, "nft", {})


def nft(*rules: list[object], hook: str = "forward", kind: str = "filter", more: tuple[object, ...] = ()) -> RuleTable:
    """A table `inet t` with one base chain `c`, each rule given as its expressions."""
    priority = {"nat": -100 if hook in ("prerouting", "output") else 100}.get(kind, 0)
    base = {"name": "c", "table": "t", "hook": hook, "prio": priority, "type": kind, "policy": "accept"}
    items: list[object] = [{"chain": base}, *more]
    items += [{"rule": {"chain": "c", "table": "t", "expr": list(expressions)}} for expressions in rules]
    found = table_from_nft("inet t", items, {2: "eth0"})
    assert found is not None
    return found


def run(tables: tuple[RuleTable, ...], sent: Packet, hook: Hook = Hook.FORWARD, *, translates: bool = False) -> Outcome:
    """What becomes of a packet at a hook."""

    def settle(passed: Packet, _found: Translation | None) -> Packet:
        return passed

    return Firewall(tables, Surroundings()).run(hook, sent, settle, translates=translates)


def is_dropped(tables: tuple[RuleTable, ...], sent: Packet, hook: Hook = Hook.FORWARD) -> bool:
    """Whether a packet is gone after a hook."""
    return run(tables, sent, hook).refusal is not None
