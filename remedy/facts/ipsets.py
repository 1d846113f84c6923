"""Members of the sets that iptables rules match against (`-m set --match-set NAME src`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from remedy.facts.model import IpSet, IptablesTables
from remedy.facts.unread import Notes
from remedy.host.commands import run_command

TIMEOUT_SECONDS = 60.0
_MATCH = re.compile(r"--match-set (\S+)")


def read_ipsets(tables: Sequence[IptablesTables], notes: Notes) -> tuple[IpSet, ...]:
    """Read the sets that rules name, and what is in those that are lists of sets; the others are nobody's business."""
    named = {name for table in tables for name in _MATCH.findall(table.text)}
    # Without such a rule the kernel's module may not be loaded, and asking would load it.
    if not named:
        return ()
    sets: dict[str, IpSet] = notes.attempt("ipsets", {}, _read_all)
    for name in sorted(named - sets.keys()) if sets else ():
        notes.add("ipsets", f"there is no set {name}")
    wanted = named | {member for name in named & sets.keys() for member in _inner_sets(sets[name])}
    return tuple(sets[name] for name in sorted(wanted & sets.keys()))


def parse_ipsets(output: str) -> dict[str, IpSet]:
    """Read `ipset save`: `create NAME TYPE OPTIONS...`, then `add NAME MEMBER OPTIONS...`."""
    sets: dict[str, IpSet] = {}
    members: dict[str, list[str]] = {}
    for line in output.splitlines():
        verb, _, rest = line.partition(" ")
        name, _, content = rest.partition(" ")
        if verb == "create":
            kind, _, options = content.partition(" ")
            sets[name] = IpSet(name=name, kind=kind, options=options)
            members[name] = []
        elif verb == "add" and name in members:
            members[name].append(content)
    return {name: found.model_copy(update={"members": tuple(members[name])}) for name, found in sets.items()}


def _read_all() -> dict[str, IpSet]:
    return parse_ipsets(run_command(["ipset", "save"], timeout=TIMEOUT_SECONDS).stdout)


def _inner_sets(found: IpSet) -> list[str]:
    return [member.split(" ")[0] for member in found.members] if found.kind == "list:set" else []
