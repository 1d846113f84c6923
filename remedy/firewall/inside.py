"""remedy's rules inside a container's network namespace: its own conntrack table sees nothing but loopback.

The engine gives a container on a user-defined network NAT rules for its DNS server (127.0.0.11), and where there is NAT
the kernel tracks every connection, in a table of that namespace. Nothing there needs it but the DNS, which never leaves
the loopback interface. The rules are pinned to no address, and end with the container.
"""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.model import FirewallBackend
from remedy.firewall.by_hand import removal_commands
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.firewall.writer import select_writer
from remedy.host.namespaces import run_in_opened_namespace

INSIDE = Ruleset(name=NOTRACK, all_but_loopback=True)


def write_inside(namespace: int, backend: FirewallBackend) -> None:
    """Write them, in one transaction, into the network namespace that an open descriptor stands for.

    Raises OSError, CommandError, MissingToolError, MissingExtraError.
    """
    run_in_opened_namespace(namespace, lambda: select_writer(backend).write(INSIDE))


def remove_inside(namespace: int, backend: FirewallBackend) -> None:
    """Remove them, present or not. Raises what `write_inside` raises."""
    run_in_opened_namespace(namespace, lambda: select_writer(backend).remove(NOTRACK))


def removal_by_hand(container: str, backend: FirewallBackend) -> Iterator[str]:
    """Shell commands that remove them; container: its name or id, quoted."""
    enter = f"nsenter -t \"$(docker inspect -f '{{{{.State.Pid}}}}' {container})\" -n"
    for command in removal_commands(INSIDE, backend):
        yield f"{enter} {command} 2>/dev/null || true"
