"""Servers of one backend that are led to one name, and so have to share its address.

haproxy gives each address of a name to one server of a backend, and the others that ask for the name stay down, unless
they have `resolve-opts allow-dup-ip` (2.6, 3.0 and 3.2 alike: resolv_get_ip_from_response(); other ports make no
difference). Servers with an address of their own, or that ask no resolvers, do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from remedy.facts.model import HaproxyServer
from remedy.haproxy_cfg.servers import ServerLine
from remedy.plan.rewiring.edits import Change
from remedy.plan.rewiring.mapping import LeftAlone

ALLOW, PREVENT = "allow-dup-ip", "prevent-dup-ip"
Place = tuple[str, int]  # file and line
Key = tuple[str, str]  # backend, name in lower case


def share_addresses(
    changes: Sequence[Change], servers: Sequence[HaproxyServer], lines: Mapping[Place, ServerLine]
) -> tuple[list[Change], list[LeftAlone]]:
    """The changes with what lets servers share an address, and the servers that cannot.

    servers: all of this haproxy's; lines: their lines.
    """
    present = _present(servers, lines, {_place(change) for change in changes})
    asking: dict[Key, list[Change]] = {}
    for change in changes:
        asking.setdefault(_key(change), []).append(change)
    found, alone = [], []
    for change in changes:
        others, named = asking[_key(change)], present.get(_key(change), [])
        answer = _shared(change, others, named) if len(others) > 1 or named else change
        if isinstance(answer, Change):
            found.append(answer)
        else:
            alone.append(answer)
    return found, alone


def _shared(change: Change, others: Sequence[Change], named: Sequence[ServerLine]) -> Change | LeftAlone:
    host = change.rewired.host
    # A template's servers are to have different addresses, which the option would not promise any more.
    if change.line.is_template and (change is not others[0] or named):
        return LeftAlone(change.led.server, f"a server-template cannot share the name {host} within a backend")
    strict = next((line for line in named if not _allows(line)), None)
    if strict is not None:
        return LeftAlone(
            change.led.server,
            f"{strict.name} at {strict.file}:{strict.line} has the name {host} already, and its address to itself: "
            f"`resolve-opts {ALLOW}` there lets them share it",
        )
    if change.line.is_template or _allows(change.line):
        return change
    if PREVENT in _options(change.line):
        return LeftAlone(change.led.server, f"{PREVENT} keeps it from sharing the address of {host} with others")
    return replace(change, edit=replace(change.edit, resolve_opts=ALLOW))


def _present(
    servers: Sequence[HaproxyServer], lines: Mapping[Place, ServerLine], changed: set[Place]
) -> dict[Key, list[ServerLine]]:
    """Servers that ask for a name today, and go on doing so."""
    found: dict[Key, list[ServerLine]] = {}
    for server in servers:
        place = (server.file, server.line)
        line = lines.get(place)
        if line is not None and place not in changed and "resolvers" in line.options:
            found.setdefault((server.proxy, server.host.lower()), []).append(line)
    return found


def _allows(line: ServerLine) -> bool:
    return next((option == ALLOW for option in reversed(_options(line)) if option in (ALLOW, PREVENT)), False)


def _options(line: ServerLine) -> list[str]:
    return line.options.get("resolve-opts", "").split(",")


def _place(change: Change) -> Place:
    return change.edit.file, change.edit.line


def _key(change: Change) -> Key:
    return change.rewired.proxy, change.rewired.host.lower()
