"""The global options: accepted before and after the command's name, read in one place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from remedy import __version__

DEFAULT_DAEMON_JSON = "/etc/docker/daemon.json"


class OutputFormat(StrEnum):
    """What standard output is for: a person or a program."""

    TEXT = "text"
    JSON = "json"


@dataclass(slots=True)
class GlobalOptions:
    """The values of the global options. Later ones win: `remedy --format text plan --format json` is JSON."""

    config: Path | None = None
    format: OutputFormat = OutputFormat.TEXT
    facts: Path | None = None
    daemon_json: str = DEFAULT_DAEMON_JSON
    no_color: bool = False
    debug: bool = False

    @property
    def is_json(self) -> bool:
        """Whether standard output is for a program."""
        return self.format is OutputFormat.JSON

    def absorb(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Take the global options out of a command's parameters and return the rest."""
        for field in fields(self):
            value = parameters.pop(f"global_{field.name}", None)
            if value is not None:
                setattr(self, field.name, _KINDS[field.name](value))
        parameters.pop("global_version", None)  # its callback has spoken already
        return parameters


# Before 0.29 Typer converts a parameter only when it calls the command's function: here it may be text still.
_KINDS: dict[str, Callable[[Any], object]] = {
    "config": Path,
    "format": OutputFormat,
    "facts": Path,
    "daemon_json": str,
    "no_color": bool,
    "debug": bool,
}


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"remedy {__version__}")
        raise typer.Exit


def _declaration(
    global_config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="remedy.yaml (./remedy.yaml, then /etc/remedy/remedy.yaml)"
        ),
    ] = None,
    global_format: Annotated[
        OutputFormat | None, typer.Option("--format", metavar="text|json", help="for a person or a program")
    ] = None,
    global_facts: Annotated[
        Path | None,
        typer.Option("--facts", metavar="FILE", help="look at this facts file instead of the host"),
    ] = None,
    global_daemon_json: Annotated[
        str | None,
        typer.Option("--daemon-json", metavar="PATH", help=f"the engine's file ({DEFAULT_DAEMON_JSON})"),
    ] = None,
    global_no_color: Annotated[bool | None, typer.Option("--no-color", help="no colour (as with NO_COLOR set)")] = None,
    global_debug: Annotated[
        bool | None, typer.Option("--debug", help="show where an internal error comes from")
    ] = None,
    global_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="show the version")
    ] = False,
) -> None:
    """Declare the global options; Typer turns the signature into parameters."""


@functools.cache
def _parameters() -> tuple[Any, ...]:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(_declaration)
    return tuple(typer.main.get_command(app).params)


def is_global(parameter: Any) -> bool:
    """Whether this parameter of a command is one of the global options."""
    return str(parameter.name).startswith("global_")


def options_of(context: typer.Context) -> GlobalOptions:
    """Return the run's global options, which live in the root context."""
    root = context.find_root()
    if not isinstance(root.obj, GlobalOptions):
        root.obj = GlobalOptions()
    return root.obj


def accept_global_options(command: Any) -> Any:
    """Let a command, and the commands below it, accept the global options.

    A command that passes unknown options on (`lab exec`) is left alone: they may be meant for the other
    program. An option that the command has itself wins over the global one.
    """
    for child in getattr(command, "commands", {}).values():
        accept_global_options(child)
    if command.context_settings.get("ignore_unknown_options") or any(map(is_global, command.params)):
        return command
    taken = {name for parameter in command.params for name in parameter.opts}
    command.params.extend(option for option in _parameters() if not taken & set(option.opts))
    command.invoke = _absorbing(command.invoke)
    return command


def _absorbing(invoke: Callable[[typer.Context], Any]) -> Callable[[typer.Context], Any]:
    def absorb_then_invoke(context: typer.Context) -> Any:
        options_of(context).absorb(context.params)
        return invoke(context)

    return absorb_then_invoke
