"""ForgetFlows: the entries that conntrack has of flows which it is not to see any more."""

from __future__ import annotations

from remedy.actions.conntrack import delete_flow
from remedy.actions.context import ActionContext
from remedy.actions.pairs_of_today import pairs_of_today
from remedy.facts.flows import TCP, UDP, Ends, Question, read_between
from remedy.facts.model import Protocol
from remedy.plan.model import ForgetFlows

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
        return not self._flows()

    def apply(self) -> None:
        """Raises OSError, EngineError."""
        forgotten = 0
        for _ in range(ROUNDS):
            flows = self._flows()
            for flow in flows:
                delete_flow(flow)
            forgotten += len(flows)
            if not flows:
                break
        if forgotten:
            self._context.note(f"deleted {forgotten} conntrack entries of flows that are not tracked any more")

    def revert(self, _undo: dict[str, object]) -> None:
        """A connection that is tracked again gets a new entry with its next packet (nf_conntrack_tcp_loose)."""

    def _flows(self) -> list[Question]:
        pairs = pairs_of_today(self._action.pairs, self._context.engine)
        wanted = {
            Ends(_NUMBERS[pair.protocol], pair.client_address, pair.server_address, pair.server_port)
            for pair in pairs
            if pair.protocol in _NUMBERS
        }
        return [flow for _, flow in read_between(wanted)]
