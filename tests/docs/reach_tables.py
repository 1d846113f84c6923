"""The tables of docs/explanation/who-reaches-what.md, made of what was measured on real engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remedy.captures.files import read_capture

CAPTURES = Path(__file__).parents[1] / "captures"
ENGINES = {"20.10": "20.10.24-iptables", "26.1": "26.1.5-iptables", "28.5": "28.5.2-iptables"}
ENGINES |= {"29.7": "29.7.2-iptables", "29.7, own nftables": "29.7.2-nftables"}
# From where to which address of the host: a recorded cell each. The published port is api-1's, on the default bridge.
ROWS = {
    ("host", "127.0.0.1:P"): "host>api-1@loopback4:5001/tcp",
    ("host", "[::1]:P"): "host>api-1@loopback6:5001/tcp",
    ("host", "gateway:P"): "host>api-1@gw:bridge:5001/tcp",
    ("host", "its LAN address:P"): "host>api-1@lan:5001/tcp",
    ("the same bridge", "gateway:P"): "client>api-1@gw:bridge:5001/tcp",
    ("the same bridge", "LAN address:P"): "client>api-1@lan:5001/tcp",
    ("itself", "gateway:P"): "api-1>api-1@gw:bridge:5001/tcp",
    ("another network", "gateway:P"): "other-net>api-1@gw:bridge:5001/tcp",
    ("another network", "LAN address:P"): "other-net>api-1@lan:5001/tcp",
    ("another machine", "LAN address:P"): "external>api-1@lan:5001/tcp",
}
SOURCES = {"172.17.0.1": "gateway", "10.98.0.10": "LAN address"}
FAILURES = {"timeout": "**no answer**", "refused": "**refused**"}


def table(proxy: str, bridge_netfilter: str = "nf1") -> str:
    """A Markdown table: a line for each connection, a column for each engine. proxy: on, off, off-flip."""
    cells = {engine: _cells(f"{name}-proxy-{proxy}", bridge_netfilter) for engine, name in ENGINES.items()}
    lines = [f"| from | to | {' | '.join(ENGINES)} |", f"|{'---|' * (len(ENGINES) + 2)}"]
    for (place, to), id_ in ROWS.items():
        lines.append(f"| {place} | {to} | {' | '.join(_words(cells[engine][id_]) for engine in ENGINES)} |")
    return "\n".join(lines)


def _cells(capture: str, bridge_netfilter: str) -> dict[str, dict[str, Any]]:
    truth = read_capture(CAPTURES / f"{capture}.tar.xz").document("truth.json")
    return {
        cell["id"]: cell["nf1"] if cell[bridge_netfilter] == "same" else cell[bridge_netfilter]
        for cell in truth["cells"]
    }


def _words(result: dict[str, Any]) -> str:
    if not result["ok"]:
        return FAILURES.get(result["err"], result["err"])
    way = "docker-proxy" if result["proxy"] else "DNAT"
    return f"{way}, {SOURCES.get(result['src'], 'client')}"


BLOCKS = {
    "proxy on": lambda: table("on"),
    "proxy off": lambda: table("off"),
    "proxy off, live": lambda: table("off-flip"),
    "proxy off, no bridge netfilter": lambda: table("off", "nf0"),
}


def with_tables(page: str) -> str:
    """The page with every table between `<!-- measured: NAME -->` and `<!-- end -->` made anew."""
    for name, render in BLOCKS.items():
        begin, end = f"<!-- measured: {name} -->", "<!-- end -->"
        head, found, rest = page.partition(begin)
        if not found:
            raise ValueError(f"the page has no {begin}")
        page = f"{head}{begin}\n\n{render()}\n\n{end}{rest.partition(end)[2]}"
    return page
