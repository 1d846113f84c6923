"""Rules as they were written, where the plan could not know all of them: addresses are given out by the engine."""

from __future__ import annotations

from collections.abc import Mapping

from remedy.firewall.ruleset import Ruleset
from remedy.plan.actions import Action, WriteRules


def as_written(action: Action, undo: Mapping[str, object]) -> Action:
    """The action with the ruleset that its run wrote, by the undo data in the journal; any other action as it is."""
    written = undo.get("written")
    if not isinstance(action, WriteRules) or written is None:
        return action
    return action.model_copy(update={"ruleset": Ruleset.model_validate(written)})
