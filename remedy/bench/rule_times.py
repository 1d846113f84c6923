"""When remedy's rules changed, and to what: a program on the host, which looks at the kernel's own.

python -m remedy.bench.rule_times nft|legacy      a RulesSeen (JSON) a line, whenever they are others; until killed

With nftables the kernel says when to look. iptables-legacy says nothing: there it looks every few hundredths of a
second, so its times are late by as much.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from remedy.errors import CommandError
from remedy.frozen import Frozen
from remedy.host.commands import run_command
from remedy.watch.firewall_events import nftables_channel, wait_for_change

LOOK_SECONDS = 0.03
_LISTED = re.compile(r'tcp \. (\d+)(?: comment "[^"]*")? : ([\d.]+) \. \d+')
_SAVED = re.compile(r"^-A REMEDY-HAIRPIN.* --dport (\d+) .*--to-destination ([\d.]+):", re.MULTILINE)


class RulesSeen(Frozen):
    """at: Unix time. rules: published port -> address to which containers on the bridge are led."""

    at: float
    rules: dict[int, str]


def read_nft() -> dict[int, str]:
    """As nft has them; none where the table is not there."""
    listed = run_command(["nft", "list", "map", "ip", "remedy_hairpin", "own_bridge"], check=False)
    return {int(port): address for port, address in _LISTED.findall(listed.stdout)}


def read_legacy() -> dict[int, str]:
    """As iptables-legacy has them. Raises CommandError."""
    saved = run_command(["iptables-legacy-save", "-t", "nat"])
    return {int(port): address for port, address in _SAVED.findall(saved.stdout)}


def watch_rules(read: Callable[[], dict[int, str]], wait: Callable[[], None]) -> None:
    """Tell each change, for ever."""
    known: dict[int, str] | None = None
    while True:
        with suppress(CommandError):  # somebody else has the table in hand: at the next look
            rules = read()
            if rules != known:
                sys.stdout.write(RulesSeen(at=time.time(), rules=rules).model_dump_json() + "\n")
                sys.stdout.flush()
                known = rules
        wait()


def main() -> None:
    """Watch the variant that is named."""
    if sys.argv[1:] == ["legacy"]:
        watch_rules(read_legacy, lambda: time.sleep(LOOK_SECONDS))
    channel = nftables_channel()
    watch_rules(read_nft, lambda: wait_for_change(channel))


if __name__ == "__main__":
    main()
