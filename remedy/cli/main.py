"""The command line's entry point: runs a command, renders what went wrong, ends with the contract's code."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import typer

from remedy.cli.app import build
from remedy.cli.options import GlobalOptions, OutputFormat
from remedy.cli.streams import make_streams_patient
from remedy.errors import InterruptedRunError, RemedyError, UsageError
from remedy.garbage import collect_rarely, leave_the_rest

# typer.BadParameter's parent is click's UsageError, wherever this version of Typer keeps click.
_CLICK_ERROR: Any = typer.BadParameter.__mro__[2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    collect_rarely()
    make_streams_patient()
    code = run(sys.argv[1:] if arguments is None else arguments)
    leave_the_rest()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code. Raises only what --debug asks to see."""
    options = _options_as_written(arguments)
    try:
        return _exit_code(build().main(list(arguments), prog_name="remedy", standalone_mode=False, obj=options))
    except RemedyError as error:
        return _report(error, options)
    except _CLICK_ERROR as error:
        return _report(_usage_error(error), options)
    except (KeyboardInterrupt, typer.Abort):
        return _report(InterruptedRunError("interrupted"), options)
    except OSError as error:
        if options.debug:
            raise
        return _report(_system_error(error), options)
    except Exception as error:
        if options.debug:
            raise
        return _report(_internal_error(error), options)


def _exit_code(result: object) -> int:
    # typer.Exit's code comes back as the result; a command that returns nothing went well.
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _options_as_written(arguments: Sequence[str]) -> GlobalOptions:
    """Read --format, --no-color and --debug for errors that come before the options are parsed."""
    written = list(arguments)
    if "--" in written:
        written = written[: written.index("--")]
    as_json = "--format=json" in written or ("--format", "json") in itertools.pairwise(written)
    return GlobalOptions(
        format=OutputFormat.JSON if as_json else OutputFormat.TEXT,
        no_color="--no-color" in written,
        debug="--debug" in written,
    )


def _usage_error(error: Any) -> UsageError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "remedy"
    return UsageError(error.format_message().rstrip("."), where=command, next_step=f"{command} --help")


def _system_error(error: OSError) -> RemedyError:
    where = None if error.filename is None else str(error.filename)
    return RemedyError(error.strerror or str(error), where=where, next_step="run again with --debug if it is unclear")


def _internal_error(error: Exception) -> RemedyError:
    described = f"{type(error).__name__}: {error}".strip().rstrip(":")
    return RemedyError(
        f"internal error: {described}",
        next_step="run again with --debug and report what it shows",
    )


def _report(error: RemedyError, options: GlobalOptions) -> int:
    from remedy.cli.views.error import show_error

    show_error(error, options)
    return error.exit_code
