"""The rules of a capture: iptables-save text of both families, and nftables' own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from remedy.captures.files import CaptureFiles
from remedy.facts.firewall import (
    Iptables,
    Variant,
    choose_backend,
    is_firewalld_active,
    variant_of,
    without_dates,
)
from remedy.facts.ipsets import parse_ipsets
from remedy.facts.model import FirewallFacts, IptablesTables
from remedy.facts.nft_json import is_iptables_table, tables_for_json, unread_item
from remedy.facts.unread import Notes

_COUNTERS = re.compile(r"^\[\d+:\d+\] (?=-A )", re.MULTILINE)
_NFT_TABLE = re.compile(r"^table (\w+) (\S+) \{", re.MULTILINE)
_SAVED_TABLE = re.compile(r"^\*(\w+)$", re.MULTILINE)
_NFT_VERSION = re.compile(r"v(\d[\w.]*)")


def read_rules(files: CaptureFiles, info: dict[str, Any], notes: Notes) -> FirewallFacts:
    """Return the firewall's facts. Tables that only nft's text shows are noted: they are read from its JSON."""
    versions: dict[str, Any] = files.document("versions.json", {})
    version = str(versions.get("iptables") or "")
    iptables = Iptables("iptables", version, variant_of(version)) if version else None
    backend = choose_backend(info, iptables)
    tables = tuple(_saved(files, "nft" if iptables is None else iptables.variant))
    nft_json = _nft_json(files)
    listed = [f"{family} {name}" for family, name in _NFT_TABLE.findall(files.text("nft.txt"))]
    nft_tables = tuple(dict.fromkeys((*nft_json, *listed, *_compatible(tables))))
    for table in nft_tables:
        if table not in nft_json and not is_iptables_table(table):
            notes.add(unread_item(table), "the capture has it as text only")
    nft_version = _NFT_VERSION.search(str(versions.get("nft") or ""))
    return FirewallFacts(
        backend=backend.kind,
        backend_evidence=backend.evidence,
        iptables_version=version or None,
        nft_version=nft_version[1] if nft_version else None,
        tables=tables,
        nft_tables=nft_tables,
        nft_json={table: nft_json[table] for table in tables_for_json(list(nft_json), tables)},
        ipsets=tuple(parse_ipsets(files.text("ipset-save.txt")).values()),
        firewalld_active=is_firewalld_active(info, ()) or "inet firewalld" in nft_tables,
        ufw_active=any("-A ufw-" in table.text or ":ufw-" in table.text for table in tables),
    )


def _saved(files: CaptureFiles, variant: Variant) -> Iterator[IptablesTables]:
    if text := _normal(files.text("iptables-save.txt")):
        yield IptablesTables(family=4, variant=variant, command="iptables-save", text=text)
    if text := _normal(files.text("ip6tables-save.txt")):
        yield IptablesTables(family=6, variant=variant, command="ip6tables-save", text=text)


def _normal(text: str) -> str:
    """Take the dates and the rules' counters out, which a live reading has not either."""
    return _COUNTERS.sub("", without_dates(text))


def _compatible(tables: tuple[IptablesTables, ...]) -> Iterator[str]:
    """Name the nft tables behind iptables-nft's."""
    for saved in tables:
        if saved.variant == "nft":
            family = "ip" if saved.family == 4 else "ip6"
            yield from (f"{family} {table}" for table in _SAVED_TABLE.findall(saved.text))


def _nft_json(files: CaptureFiles) -> dict[str, list[object]]:
    """Split `nft -j list ruleset` by table, as `nft -j list table` would have given each."""
    tables: dict[str, list[object]] = {}
    for item in files.document("nft.json", {}).get("nftables", ()):
        for kind, content in item.items():
            if kind != "metainfo":
                name = content["name"] if kind == "table" else content["table"]
                tables.setdefault(f"{content['family']} {name}", []).append(item)
    return tables
