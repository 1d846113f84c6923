"""`python -m remedy.watch`: the watcher's own process, which the service and `remedy watch` become.

Not the command line, which is a sixth of the memory that a watcher may take while it waits.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from remedy.apply.settings import DEFAULT_DAEMON_JSON, Settings
from remedy.errors import RemedyError, UsageError
from remedy.garbage import WHERE_MEMORY_COUNTS, collect_rarely
from remedy.watch.command import CONFIG, DAEMON_JSON, FORMAT, METRICS, OPTIONS
from remedy.watch.metrics.address import parse_address


def main(words: Sequence[str]) -> None:
    """Watch until told to stop. Raises RemedyError."""
    from remedy.cli.views.watch import teller
    from remedy.watch.service import watch_until_stopped

    collect_rarely(WHERE_MEMORY_COUNTS)
    options = _read(words)
    settings = Settings.from_environment(daemon_json_path=options.get(DAEMON_JSON, DEFAULT_DAEMON_JSON))
    tell = teller(as_json=options.get(FORMAT) == "json")
    metrics = parse_address(options[METRICS]) if METRICS in options else None
    watch_until_stopped(settings, Path(options[CONFIG]), tell, metrics)


def _read(words: Sequence[str]) -> dict[str, str]:
    """Every option has a value."""
    options = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or CONFIG not in options or not set(options) <= set(OPTIONS):
        raise UsageError("this is what `remedy watch` starts", next_step="remedy watch --help")
    return options


def leave_openssl_out() -> None:
    """Let hashlib do with Python's own hashes: those of OpenSSL bring 3.5 MB with them, and none is needed here."""
    sys.modules["_hashlib"] = None  # type: ignore[assignment]


def leave_plugins_out() -> None:
    """Let pydantic not load what it looks for plugins with: email, zipfile, csv and 30 more, 1.6 MB, for none."""
    loader = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules[loader.__name__] = loader


if __name__ == "__main__":
    leave_openssl_out()
    leave_plugins_out()
    try:
        main(sys.argv[1:])
    except RemedyError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
