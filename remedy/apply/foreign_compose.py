"""The compose override, edited by somebody else after remedy wrote it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from remedy.apply.edited_files import Edit, read_regular
from remedy.plan.actions import Action, WriteComposeOverride


def edited_overrides(actions: Iterable[Action]) -> list[Edit]:
    """The overrides of these actions that somebody edited. One that is gone is nobody's loss."""
    written = [action for action in actions if isinstance(action, WriteComposeOverride)]
    return [edit for action in written if (edit := _edit_of(action)) is not None]


def _edit_of(action: WriteComposeOverride) -> Edit | None:
    now = read_regular(action.path)
    if now is None:
        is_gone = not os.path.lexists(action.path)
        how = "replaced by what is no regular file"
        return None if is_gone else Edit(action.original, action.content, how, None)
    if now in (action.content.raw, action.original.raw):
        return None
    return Edit(action.original, action.content, "edited", now)
