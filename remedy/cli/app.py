"""The commands by name; each module is imported when its command is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer

from remedy.cli.help import RemedyGroup, command_app
from remedy.cli.options import accept_global_options

# In the order in which an operator meets them. The text is the short help: a copy of the first line of the
# command's docstring (a test compares), so that `remedy --help` imports none of the modules.
COMMANDS = {
    "doctor": "Find what runs through docker-proxy, what that costs, and what else is wrong",
    "facts": "Show or save what remedy sees of this host",
    "path": "Show how a connection travels, what it costs and why",
    "init": "Write a commented remedy.yaml that is right for this host",
    "plan": "Show what would change, why, at what cost and how it is undone",
    "apply": "Make the change, verified by traffic; put everything back if something breaks",
    "confirm": "Keep a change that was applied with --confirm-within",
    "rollback": "Undo the last run, or the one named",
    "status": "Show what is applied, what drifted, and what waits",
    "history": "List the runs on this host",
    "watch": "Keep what is applied right while containers come and go",
    "uninstall": "Undo everything that is applied and remove remedy's services and state",
    "verify": "Try the probes now",
    "fleet": "Ask many hosts at once, by Ansible",
    "explain": "Print the page of the documentation on a topic",
    "schema": "Print the JSON Schema of remedy.yaml",
    "lab": "Start throwaway Docker hosts to try things on",
}


class LazyGroup(RemedyGroup):
    """The root: knows all names, imports what is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import the command's module and turn it into a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"remedy.cli.{cmd_name}")
        command: Any = typer.main.get_command(module.app)
        command.name = cmd_name
        return accept_global_options(command)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; an unknown name is answered with the nearest ones."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; see remedy --help"
            ctx.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EXAMPLES = """
remedy doctor                    # what is wrong here, and what it costs
remedy init                      # write remedy.yaml for this host
remedy plan                      # read what would happen
remedy apply --confirm-within 60s
remedy confirm                   # keep it
remedy rollback                  # or undo it
"""


def build() -> Any:
    """Return the root command."""
    app = command_app()

    @app.callback(
        cls=LazyGroup,
        epilog=EXAMPLES,
        invoke_without_command=True,
        context_settings={"max_content_width": 100},
    )
    def remedy(context: typer.Context) -> None:
        """Take Docker's userland proxy out of the path of your traffic.

        remedy plans the change, verifies it by real connections and undoes it at will.
        """
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return accept_global_options(typer.main.get_command(app))
