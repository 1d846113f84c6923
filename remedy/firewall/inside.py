"""remedy's rules inside a container's network namespace: its own conntrack table sees nothing but loopback.

The engine gives a container on a user-defined network NAT rules for its DNS server (127.0.0.11), and where there is NAT
the kernel tracks every connection, in a table of that namespace. Nothing there needs it but questions to that address,
which go by the loopback interface. The rules are pinned to no address, and end with the container.
"""

from __future__ import annotations

import shlex
import threading

from remedy.facts.model import FirewallBackend
from remedy.firewall.by_hand import removal_commands
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.untracked_pairs import NOTRACK
from remedy.firewall.writer import select_writer
from remedy.host.namespaces import run_in_opened_namespace

INSIDE = Ruleset(name=NOTRACK, all_but_loopback=True)

# libiptc and libxtables keep what they are at in globals: two threads at once made rules that the kernel refused.
_one_at_a_time = threading.Lock()


def write_inside(namespace: int, backend: FirewallBackend) -> None:
    """Write them, in one transaction, into the network namespace that an open descriptor stands for.

    Raises OSError, CommandError, MissingToolError, MissingExtraError.
    """
    with _one_at_a_time:
        run_in_opened_namespace(namespace, lambda: select_writer(backend).write(INSIDE))


def remove_inside(namespace: int, backend: FirewallBackend) -> None:
    """Remove them, present or not. Raises what `write_inside` raises."""
    with _one_at_a_time:
        run_in_opened_namespace(namespace, lambda: select_writer(backend).remove(NOTRACK))


def removal_by_hand(container_id: str, backend: FirewallBackend) -> str:
    """A line of shell that removes them, and says so where it is not known how to get there; a dead one has none."""
    commands = "; ".join(removal_commands(INSIDE, backend))
    pid = f"pid=$(docker inspect -f '{{{{.State.Pid}}}}' {shlex.quote(container_id)})"
    return f'{pid} && if [ "$pid" -gt 0 ]; then nsenter -t "$pid" -n sh -c {shlex.quote(commands)}; fi'
