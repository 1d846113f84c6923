"""`remedy watch`: keeps what is applied right while containers come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import UsageError

if TYPE_CHECKING:
    from remedy.apply.settings import Settings

app = command_app()

EXAMPLES = """
remedy watch --install          # as a systemd service, from now on and after each boot
journalctl -fu remedy-watch     # what it does
systemctl reload remedy-watch   # reads remedy.yaml again; a wrong one is not taken
remedy watch --uninstall        # stops and removes it; what is applied stays
remedy watch                    # in the foreground; ^C ends it
remedy watch --format json      # a JSON document a line
remedy watch --install --metrics 127.0.0.1:9417
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def watch(
    context: typer.Context,
    install: Annotated[bool, typer.Option("--install", help="install and start the systemd service")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="stop and remove it; what is applied stays")] = False,
    metrics: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="offer figures to Prometheus at 127.0.0.1:PORT or unix:PATH")
    ] = None,
) -> None:
    """Keep what is applied right while containers come and go.

    Follows the engine's events and brings rules, hairpin mode and networks of applied runs to the containers of now.
    It restarts nothing, puts nothing on the host that no run has put there, and does nothing while a run is at work
    or waits. What it did stands in `remedy history`; `remedy rollback` undoes it with the run.
    """
    from remedy.apply.preflight import check_may_change

    session = Session(context)
    session.must_work_on_this_host("watch")
    if install and uninstall:
        raise UsageError("--install and --uninstall exclude each other", next_step="name one of them")
    extra = _metrics(metrics, is_service=install)
    settings = session.settings()
    check_may_change(settings, "remedy watch")
    if uninstall:
        _uninstall(session)
    elif install:
        _install(session, settings, extra)
    else:
        from remedy.watch.command import become_the_watcher

        session.spec()
        become_the_watcher(
            session.spec_path().absolute(),
            settings.daemon_json_path,
            ("--format", session.options.format.value, *extra),
        )


def _metrics(address: str | None, *, is_service: bool) -> tuple[str, ...]:
    """The watcher's option. Raises UsageError for an address that other machines reach, before anything is done."""
    if address is None:
        return ()
    from remedy.watch.metrics.address import check_for_service, parse_address

    parsed = parse_address(address)
    if is_service:
        check_for_service(parsed)
    return ("--metrics", address)


def _install(session: Session, settings: Settings, extra: tuple[str, ...]) -> None:
    from remedy.watch.unit import UNIT, install_watcher

    session.spec()  # a wrong one is told here, not in a journal
    path = session.spec_path().absolute()
    install_watcher(settings, path, extra)
    session.say(
        {"result": "installed", "unit": UNIT, "spec": str(path)}, f"{UNIT} is installed and watches for {path}."
    )


def _uninstall(session: Session) -> None:
    from remedy.watch.unit import UNIT, uninstall_watcher

    was_there = uninstall_watcher()
    sentence = f"{UNIT} is removed; what is applied stays." if was_there else f"{UNIT} is not installed."
    session.say({"result": "uninstalled" if was_there else "nothing", "unit": UNIT}, sentence)
