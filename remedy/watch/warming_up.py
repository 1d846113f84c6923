"""What the first transaction would import and make, brought in before it: what stays for ever lies together then.

Python gives a piece of its memory (1 MiB since 3.10) back when nothing is left in it. A transaction about 200
containers fills five or six for a moment. A module that is imported in the middle of it, or a validator that pydantic
makes with the first value, stays in one of them, and keeps the whole of it for as long as the watcher runs.
"""

from __future__ import annotations

from contextlib import suppress

from remedy.errors import RemedyError
from remedy.facts.model import ConntrackEntry, Container, Endpoint, FirewallBackend, PortBinding
from remedy.firewall.names import RULESET_NAMES
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.writer import select_writer


def warm_up(backend: FirewallBackend) -> None:
    """For a host with this firewall, which is read and not written. Whatever fails will fail again where it counts."""
    import filelock  # noqa: F401

    import remedy.actions.hairpin_mode  # noqa: F401

    for model in (PortBinding, Endpoint, Container, ConntrackEntry):
        model.model_rebuild()
    with suppress(RemedyError, OSError):
        select_writer(backend).read_differences(Ruleset(name=RULESET_NAMES[0]))
