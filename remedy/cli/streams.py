"""Standard output that outlives its reader.

`remedy apply --yes | head` must apply all the same and end with the true exit code, and so must an apply whose
SSH connection dies. So a reader that went away is no error: what is written to it is dropped.
"""

from __future__ import annotations

import errno
import io
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_GONE = (errno.EPIPE, errno.EIO)  # the pipe's reader, the terminal


class _Patient(io.FileIO):
    """A file descriptor that swallows what nobody reads any more."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or drop the bytes when nobody is there."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return len(memoryview(data))


def make_streams_patient() -> None:
    """Replace standard output and error by patient ones that can also show every character somehow."""
    sys.stdout = _patient(sys.stdout)
    sys.stderr = _patient(sys.stderr)


def _patient(stream: TextIO) -> TextIO:
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return stream  # closed, or no file at all
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Patient(descriptor, "w", closefd=False)),
        encoding=stream.encoding,
        errors="replace",  # a locale without → is no reason to fail
        line_buffering=stream.isatty() or stream is sys.stderr,
    )
