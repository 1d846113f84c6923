"""How help looks: what the command does, examples first, its options, then the global ones."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from remedy.cli.options import is_global


def command_app(**settings: Any) -> typer.Typer:
    """Return a Typer app of this project's kind: plain help (no rich), no completion, errors go to `main`."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **settings)


def _write_help(command: Any, context: typer.Context, formatter: Any) -> None:
    command.format_usage(context, formatter)
    command.format_help_text(context, formatter)
    if command.epilog:
        with formatter.section("Examples"):
            for line in inspect.cleandoc(command.epilog).splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}".rstrip() + "\n")


def _write_options(command: Any, context: typer.Context, formatter: Any) -> None:
    parameters = [parameter for parameter in command.get_params(context) if not parameter.hidden]
    own = [parameter for parameter in parameters if not is_global(parameter)]
    groups = {
        "Arguments": [parameter for parameter in own if parameter.param_type_name == "argument"],
        "Options": [parameter for parameter in own if parameter.param_type_name == "option"],
        "Global options (before or after the command's name)": [*filter(is_global, parameters)],
    }
    for title, members in groups.items():
        if members:
            with formatter.section(title):
                formatter.write_dl([_row(member) for member in members], col_max=28)


def _row(parameter: Any) -> tuple[str, str]:
    if parameter.param_type_name == "argument":
        return parameter.metavar or parameter.name.upper(), parameter.help or ""
    names = ", ".join(sorted(parameter.opts, key=len))
    shown = names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper()}"
    return shown, parameter.help or ""


class RemedyCommand(TyperCommand):
    """A command whose epilog holds its examples."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole page."""
        _write_help(self, ctx, formatter)
        _write_options(self, ctx, formatter)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Name the arguments as the contract does: [PLAN], not [plan]."""
        pieces = ["[OPTIONS]"]
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                name = getattr(parameter, "metavar", None) or str(parameter.name).upper()
                pieces.append(name if parameter.required else f"[{name}]")
        return pieces


class RemedyGroup(TyperGroup):
    """A group of commands; `commands` may be filled as late as `list_commands` and `get_command` like."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole page."""
        _write_help(self, ctx, formatter)
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)
