"""haproxy's configuration, edited by somebody else after remedy wrote it."""

from __future__ import annotations

from collections.abc import Iterable

from remedy.apply.edited_files import Edit, read_regular
from remedy.errors import StalePlanError
from remedy.haproxy.config_file import Content, content_of
from remedy.plan.actions import Action, ConfigFile, RewireHaproxy


def edited_configurations(actions: Iterable[Action]) -> list[Edit]:
    """The files of these actions that somebody edited, or replaced as many editors do."""
    files = [file for action in actions if isinstance(action, RewireHaproxy) for file in action.files]
    return [edit for file in files if (edit := _edit_of(file)) is not None]


def _edit_of(file: ConfigFile) -> Edit | None:
    try:
        if content_of(file) is not Content.FOREIGN:
            return None
        how = "edited"
    except StalePlanError:
        how = "replaced by another file"
    except OSError:
        return None  # what cannot be read is told by the rollback itself
    return Edit(file.original, file.content, how, read_regular(file.content.path))
