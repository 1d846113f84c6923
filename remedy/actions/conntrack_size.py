"""SizeConntrack: the kernel's values, and the files that set them again at boot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from remedy.actions.context import ActionContext
from remedy.actions.daemon_json import directories_to_make, has_content, put_content, remove_directories
from remedy.host.conntrack_settings import MAXIMUM, read_setting, write_setting
from remedy.plan.actions import FileContent, SizeConntrack

IN_USE = "net.netfilter.nf_conntrack_count"


class ConntrackSizeAction:
    """The plan has all values and bytes, before and after."""

    def __init__(self, action: SizeConntrack, context: ActionContext) -> None:
        self._action = action
        self._context = context

    def undo_data(self) -> dict[str, object]:
        """The directories that the files make."""
        made: list[object] = []
        for file in self._action.files:
            found = directories_to_make(file.path)["made"]
            made += [path for path in (found if isinstance(found, list) else []) if path not in made]
        return {"made": made}

    def is_applied(self) -> bool:
        """Every setting has its value, and every file its bytes."""
        values = (read_setting(name) == value for name, value in self._action.values.items())
        return all(values) and all(has_content(file) for file in self._action.files)

    def apply(self) -> None:
        """Raises InputError and OSError."""
        _write(self._action.values)
        _put(self._action.files)

    def revert(self, undo: Mapping[str, object]) -> None:
        """Raises InputError and OSError."""
        _put(self._action.original_files)
        remove_directories(undo)
        # The other way round: fewer are let in before there is less room for them.
        _write(dict(reversed(self._action.previous.items())))
        self._tell_of_a_full_table()

    def _tell_of_a_full_table(self) -> None:
        in_use, maximum = read_setting(IN_USE), self._action.previous.get(MAXIMUM)
        if in_use is not None and maximum is not None and int(in_use) > int(maximum):
            self._context.note(
                f"the table holds {in_use} connections and has room for {maximum} again: new ones are dropped until "
                "enough of them have ended"
            )


def _write(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if read_setting(name) not in (value, None):
            write_setting(name, value)


def _put(files: Iterable[FileContent]) -> None:
    for file in files:
        put_content(file)
