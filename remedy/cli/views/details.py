"""What an action touches, item by item, from its JSON form."""

from __future__ import annotations

from typing import Any

from remedy.cli.views.layout import Cell

MAX_ROWS = 24
_ORIGINS = {
    "from_own_bridge": "its bridge's containers",
    "from_elsewhere": "other machines",
    "from_host": "the host",
    "from_loopback": "the host's loopback",
}


def details_of(action: dict[str, Any]) -> list[list[Cell]]:
    """Return rows for the items of an action; none where before and after say it all."""
    rows: list[list[Cell]] = []
    match action["kind"]:
        case "sysctl" if len(action["values"]) > 1:
            rows = [_sysctl(name, action) for name in action["values"]]
        case "hairpin_mode":
            rows = [_hairpin_port(port) for port in action["ports"]]
        case "write_rules":
            rows = _redirects(action["ruleset"]["redirects"], ("+", "green"))
        case "remove_rules":
            rows = [row[:-1] for row in _redirects(action["ruleset"]["redirects"], ("-", "red"))]
        case "connect_network":
            rows = [_member(member) for member in action["members"]]
        case "rewire_haproxy":
            rows = [_server(server) for server in action["servers"]]
    if len(rows) <= MAX_ROWS:
        return rows
    left = f"... and {len(rows) - MAX_ROWS} more (--format json has them all)"
    return [*rows[:MAX_ROWS], [left, *[""] * (len(rows[0]) - 1)]]


def _sysctl(name: str, action: dict[str, Any]) -> list[Cell]:
    return [name, action["previous"].get(name, "?"), "→", action["values"][name]]


def _hairpin_port(port: dict[str, Any]) -> list[Cell]:
    return [port["bridge"], port["interface"], port["container"], "on" if port["previous"] else "off", "→ on"]


def _member(member: dict[str, Any]) -> list[Cell]:
    aliases = ", ".join(member["aliases"])
    return [("+", "green"), member["container"], (f"also called {aliases}" if aliases else "", "dim")]


def _server(server: dict[str, Any]) -> list[Cell]:
    before = f"[{server['host_before']}]" if ":" in server["host_before"] else server["host_before"]
    return [
        ("~", "yellow"),
        f"{server['proxy']}/{server['name']}",
        f"{before}:{server['port_before']}",
        f"→ {server['host']}:{server['port']}",
        (f"{server['file']}:{server['line']}", "dim"),
    ]


def _redirects(redirects: list[dict[str, Any]], symbol: Cell) -> list[list[Cell]]:
    rows = [_redirect(symbol, redirect) for redirect in redirects]
    # Whom they are for is mostly the same for all: said once then, on the first.
    if len({row[-1] for row in rows}) == 1:
        return [rows[0], *([*row[:-1], ""] for row in rows[1:])]
    return rows


def _redirect(symbol: Cell, redirect: dict[str, Any]) -> list[Cell]:
    address = redirect["address"] or "*"
    shown = f"[{address}]" if ":" in address else address
    to_address = redirect["to_address"]
    to_shown = f"[{to_address}]" if ":" in to_address else to_address
    origins = ", ".join(words for flag, words in _ORIGINS.items() if redirect.get(flag))
    return [
        symbol,
        f"{shown}:{redirect['port']}/{redirect['protocol']}",
        f"→ {to_shown}:{redirect['to_port']} ({redirect['container']})",
        (f"for {origins}", "dim"),
    ]
