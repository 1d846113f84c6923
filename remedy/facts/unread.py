"""What could not be read is noted and the rest goes on: no single item may cost the whole picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from remedy.errors import RemedyError
from remedy.facts.model import Unread

Value = TypeVar("Value")
Default = TypeVar("Default")


class Notes:
    """Collects the items that could not be read. Appending is atomic, so threads may share one."""

    def __init__(self) -> None:
        self._items: list[Unread] = []

    def add(self, item: str, reason: str) -> None:
        """Note that `item` is missing or incomplete."""
        self._items.append(Unread(item=item, reason=reason))

    def attempt(self, item: str, default: Default, read: Callable[[], Value]) -> Value | Default:
        """Return what `read` returns, or `default` with a note of why it could not."""
        try:
            return read()
        except Exception as error:  # whatever a host, an engine or a container may come up with
            self.add(item, reason_of(error))
            return default

    def sorted(self) -> tuple[Unread, ...]:
        """Return the notes in an order that does not depend on which thread was first."""
        return tuple(sorted(self._items, key=lambda note: (note.item, note.reason)))


def reason_of(error: BaseException) -> str:
    """Put an error into one line for `unread`."""
    if isinstance(error, RemedyError):
        return " ".join((error.what if error.why is None else f"{error.what}: {error.why}").split())
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
