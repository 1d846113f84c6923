"""The version of a running haproxy, as its executable says it: nothing is run for that."""

from __future__ import annotations

import os
import re
import stat

MAXIMUM_BYTES = 64 << 20
# stats_version_string (STATS_VERSION_STRING in include/haproxy/defaults.h), which the statistics page shows.
_VERSION = re.compile(rb" version (\d[0-9A-Za-z.+~:_-]{0,60}), released \d{4}/\d\d/\d\d\0")


def read_version(pid: int) -> str | None:
    """The version, None where the process is gone, or its executable says none."""
    try:
        # The very file that runs, also when a package's upgrade has replaced it; and no name leads anywhere.
        with open(f"/proc/{pid}/exe", "rb") as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return parse_version(file.read(MAXIMUM_BYTES))
    except OSError:
        return None


def parse_version(executable: bytes) -> str | None:
    """The version that the bytes of an executable name."""
    match = _VERSION.search(executable)
    return None if match is None else match[1].decode("ascii")
