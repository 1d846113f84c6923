"""remedy lab: throwaway Docker hosts to try things on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remedy.cli.help import RemedyCommand, RemedyGroup, command_app
from remedy.cli.options import options_of

if TYPE_CHECKING:
    from remedy.lab import Host

_PASS_ON: dict[str, Any] = {"ignore_unknown_options": True, "allow_interspersed_args": False}

_EXAMPLES = """
remedy lab up                                    # Docker 28.5, nft, the operator's containers
remedy lab up old --engine 20.10 --firewall legacy
remedy lab exec old -- remedy facts              # this very remedy, inside
remedy lab exec external -- curl -s 10.98.0.2:8080
remedy lab down --all
"""

app = command_app(cls=RemedyGroup, epilog=_EXAMPLES, no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="the host's name")]


@app.callback()
def lab() -> None:
    """Start throwaway Docker hosts to try things on.

    Each is a real host in namespaces: systemd, journal, Docker, iptables, a network of its own. The name `external`
    means the other machine on the hosts' network.
    """


@app.command(cls=RemedyCommand)
def up(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="how to call the host")] = "host",
    engine: Annotated[str, typer.Option(metavar="VERSION", help="20.10, 26.1 or 28.5")] = "28.5",
    firewall: Annotated[str, typer.Option(metavar="nft|legacy", help="what iptables is on the host")] = "nft",
    topology: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="what runs on it: operator, empty, or a YAML file")
    ] = "operator",
    scale: Annotated[
        list[str] | None, typer.Option(metavar="SERVICE=N", help="so many containers of a service")
    ] = None,
    engine_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="other executables (dockerd ...) to put over the host's")
    ] = None,
) -> None:
    """Start a host and wait until its containers answer."""
    from remedy.lab import lab_up, release

    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    with _progress(context) as say:
        host = lab_up(
            name,
            engine=engine,
            firewall=firewall,
            topology=topology,
            scale=_read_scale(scale or []),
            engine_directory=engine_dir,
            say=say,
        )
    _show(context, [host], f"{host.name} is up: Docker {engine}, {firewall}, {host.address}")
    sys.stdout.flush()
    # Whoever is killed before this leaves an orphan, which `prune` removes. So it is the last act: the interpreter
    # would take a tenth of a second to end, in which a killed command had left a host that nobody knows of.
    release(host)
    os._exit(0)


@app.command("list", cls=RemedyCommand)
def list_hosts(context: typer.Context) -> None:
    """List the hosts."""
    from remedy.lab import all_hosts

    _show(context, all_hosts(), None)


@app.command("exec", cls=RemedyCommand, context_settings=_PASS_ON)
def exec_command(
    name: Annotated[str, typer.Argument(metavar="NAME|external", help="the host, or the other machine")],
    command: Annotated[list[str], typer.Argument(metavar="CMD...", help="the program and its arguments, after --")],
) -> None:
    """Run a program on a host; its exit status is this one's."""
    _become(name, command)


@app.command(cls=RemedyCommand)
def shell(name: Annotated[str, typer.Argument(metavar="NAME|external", help="the host")] = "host") -> None:
    """Open a shell on a host."""
    # A terminal of the host's own: the machine's is no device that the host knows. (`script` brings that.)
    login = ["bash", "-l"] if name == "external" else ["script", "-qec", "bash -l", "/dev/null"]
    _become(name, login)


@app.command(cls=RemedyCommand)
def reboot(
    context: typer.Context,
    name: _Name,
    hard: Annotated[bool, typer.Option("--hard", help="cut the power instead of shutting down")] = False,
) -> None:
    """Restart a host; one that does not run is started."""
    from remedy.lab import find_host

    with _progress(context) as say:
        say(f"rebooting {name} ...")
        host = find_host(name)
        host.reboot(hard=hard)
    _show(context, [host], f"{name} is up again")


@app.command(cls=RemedyCommand)
def down(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="the host")] = None,
    every: Annotated[bool, typer.Option("--all", help="every host of the lab")] = False,
) -> None:
    """Remove a host, or all, with everything on them."""
    from remedy.lab import find_layout, take_all_down, take_down

    if (name is None) != every:
        raise typer.BadParameter("give a host's name or --all")
    layout = find_layout()
    with _progress(context) as say:
        say("removing ...")
        if name is None:
            take_all_down(layout)
        else:
            take_down(layout, name)


@app.command(cls=RemedyCommand)
def prune(context: typer.Context) -> None:
    """Remove what killed commands left behind; hosts that are in use stay."""
    from remedy.cli.views.console import write_json
    from remedy.lab import find_layout
    from remedy.lab import prune as remove_orphans

    with _progress(context) as say:
        say("looking for orphans ...")
        removed = remove_orphans(find_layout())
    if options_of(context).is_json:
        write_json({"removed": removed})
        return
    for name in removed:
        typer.echo(f"removed {name}")


def _interrupt(*_: object) -> None:
    """SIGTERM and SIGHUP end like ^C: what was begun is taken down."""
    raise KeyboardInterrupt


def _become(name: str, command: list[str]) -> None:
    """Replace this process, so that signals, terminal and exit status are the program's own."""
    from remedy.lab import External, find_host, find_layout
    from remedy.lab.requirements import check_root

    check_root()
    # With options passed on, the separator itself arrives as the first word.
    arguments = command[1:] if command[:1] == ["--"] else command
    place = External(find_layout()) if name == "external" else find_host(name)
    line = place.command(arguments)
    sys.stdout.flush()
    os.execvp(line[0], line)  # noqa: S606


def _read_scale(words: list[str]) -> dict[str, int]:
    scale = {}
    for word in words:
        service, _, count = word.partition("=")
        if not service or not count.isdigit():
            raise typer.BadParameter(f"--scale is SERVICE=N, not {word!r}")
        scale[service] = int(count)
    return scale


def _show(context: typer.Context, hosts: list[Host], summary: str | None) -> None:
    from remedy.cli.views.console import make_console, write_json
    from remedy.lab.view import host_object, host_table

    options = options_of(context)
    if options.is_json:
        objects = [host_object(host) for host in hosts]
        write_json({"hosts": objects} if summary is None else objects[0])
    elif summary is not None:
        typer.echo(summary)
    else:
        make_console(options, sys.stdout).print(host_table(hosts))


@contextmanager
def _progress(context: typer.Context) -> Iterator[Any]:
    """A function that shows one line at a time on standard error; nothing with --format json."""
    from remedy.cli.views.console import make_console

    options = options_of(context)
    if options.is_json:
        yield lambda _: None
        return
    console = make_console(options, sys.stderr)
    if not console.is_terminal:
        yield lambda line: typer.echo(line, err=True)
        return
    with console.status("") as status:
        yield status.update
