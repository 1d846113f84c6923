"""The one place that runs programs: argument lists only, always a timeout, typed errors."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remedy.errors import CommandError, MissingToolError

DEFAULT_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Completed:
    """What a finished program left: exit status, and its output decoded leniently."""

    arguments: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


def run_command(
    arguments: Sequence[str],
    *,
    stdin: str | bytes | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program and wait for it.

    Output is decoded as UTF-8 with undecodable bytes replaced, LC_ALL is C so that it can be parsed.
    Raises MissingToolError when there is no such program, CommandError when it fails (unless check is
    False) or does not end within `timeout` seconds.
    """
    command = tuple(arguments)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    # `input` and `stdin` exclude each other; without input nothing may be read from the terminal.
    source: dict[str, Any] = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command,
            capture_output=True,
            timeout=timeout,
            check=False,
            # Not in the terminal's foreground group: ^C reaches remedy, which decides, and not the program.
            process_group=0,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            **source,
        )
    except FileNotFoundError as error:
        raise MissingToolError(
            f"the program {command[0]!r} is not installed",
            why=f"needed to run: {shlex.join(command)}",
            next_step=f"install the package that brings {command[0]}",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{command[0]} did not end within {timeout:g} s", where=shlex.join(command)) from error
    result = Completed(
        command, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and result.status != 0:
        raise CommandError(
            f"{command[0]} failed with status {result.status}",
            where=shlex.join(command),
            why=(result.stderr or result.stdout).strip()[-2000:] or None,
        )
    return result
