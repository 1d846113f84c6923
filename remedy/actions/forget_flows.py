"""ForgetFlows: the entries that conntrack has of flows which it is not to see any more.

And those of connections that nobody has answered, to a container that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from remedy.actions.conntrack import delete_flow
from remedy.actions.context import ActionContext
from remedy.actions.pairs_of_today import pairs_of_today
from remedy.facts.flows import TCP, UDP, Ends, Question, read_between, read_unanswered
from remedy.facts.model import Address, Protocol
from remedy.firewall.ruleset import Redirect, UntrackedPair
from remedy.plan.actions import ForgetFlows

# A packet that had passed the rules before they were written may make its entry a moment later.
ROUNDS = 3
_NUMBERS = {Protocol.TCP: TCP, Protocol.UDP: UDP}


class ForgetFlowsAction:
    """Delete them one by one, by their tuples: nobody else's entry is touched, and the table is not flushed."""

    def __init__(self, action: ForgetFlows, context: ActionContext) -> None:
        self._action = action
        self._context = context

    def undo_data(self) -> dict[str, object]:
        """Nothing."""
        return {}

    def is_applied(self) -> bool:
        """There is none."""
        return not _tracked(self._pairs())

    def apply(self) -> None:
        """Raises OSError, EngineError."""
        forgotten = forget_tracked(self._pairs())
        if forgotten:
            self._context.note(f"deleted {forgotten} conntrack entries of flows that are not tracked any more")

    def revert(self, _undo: dict[str, object]) -> None:
        """A connection that is tracked again gets a new entry with its next packet (nf_conntrack_tcp_loose)."""

    def _pairs(self) -> tuple[UntrackedPair, ...]:
        return pairs_of_today(self._action.pairs, self._context.engine)


def forget_tracked(pairs: Iterable[UntrackedPair]) -> int:
    """Delete the entries of these pairs at these addresses; return how many. Raises OSError."""
    known, forgotten = tuple(pairs), 0
    for _ in range(ROUNDS):
        flows = _tracked(known)
        for flow in flows:
            delete_flow(flow)
        forgotten += len(flows)
        if not flows:
            break
    return forgotten


def _tracked(pairs: Iterable[UntrackedPair]) -> list[Question]:
    wanted = {
        Ends(_NUMBERS[pair.protocol], pair.client_address, pair.server_address, pair.server_port)
        for pair in pairs
        if pair.protocol in _NUMBERS
    }
    return [flow for _, flow in read_between(wanted)]


def forget_unanswered(redirects: Iterable[Redirect]) -> None:
    """Delete what conntrack remembers of connections that these redirects, which are gone, led to their servers.

    A SYN that met nobody is sent again after a second, and conntrack leads it to the same address, whatever the rules
    say by then, and whoever has it. An answered TCP connection can stay: a new owner of the address refuses its
    segments. A datagram would be answered, so flows of UDP go in any case. What goes wrong stops nothing: the rules
    are right, and the client gives up.
    """
    gone: dict[Address, list[Redirect]] = {}
    for redirect in redirects:
        gone.setdefault(redirect.to_address, []).append(redirect)
    for address, its in gone.items():
        udp = any(redirect.protocol is Protocol.UDP for redirect in its)
        with suppress(OSError):
            for flow in tuple(read_unanswered(address, {redirect.port for redirect in its}, udp=udp)):
                delete_flow(flow.question)
