"""CreateNetwork and ConnectNetwork."""

from __future__ import annotations

from remedy.actions.context import ActionContext
from remedy.plan.model import ConnectNetwork, CreateNetwork


class CreateNetworkAction:
    """Not built yet."""

    def __init__(self, action: CreateNetwork, context: ActionContext) -> None:
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


class ConnectNetworkAction:
    """Not built yet."""

    def __init__(self, action: ConnectNetwork, context: ActionContext) -> None:
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
