"""WriteComposeOverride."""

from __future__ import annotations

from remedy.actions.context import ActionContext
from remedy.plan.model import WriteComposeOverride


class ComposeOverrideAction:
    """Not built yet."""

    def __init__(self, action: WriteComposeOverride, context: ActionContext) -> None:
        self._action = action
        self._context = context

    def undo_data(self) -> dict[str, object]:
        """Not built yet."""
        raise NotImplementedError

    def is_applied(self) -> bool:
        """Not built yet."""
        raise NotImplementedError

    def apply(self) -> None:
        """Not built yet."""
        raise NotImplementedError

    def revert(self, undo: dict[str, object]) -> None:
        """Not built yet."""
        raise NotImplementedError
