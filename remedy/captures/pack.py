"""`python -m remedy.captures.pack INTO DIRECTORY...`: write recorded directories in the form that is committed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from remedy.captures.files import SUFFIX, find_captures, pack_capture, read_capture
from remedy.errors import RemedyError


def main(arguments: Sequence[str]) -> int:
    """Pack each capture that the arguments name, or that is in a directory that they name."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 64
    into, *sources = map(Path, arguments)
    try:
        for path in (capture for source in sources for capture in find_captures(source)):
            files = read_capture(path)
            (into / f"{files.name}{SUFFIX}").write_bytes(pack_capture(files))
    except RemedyError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
