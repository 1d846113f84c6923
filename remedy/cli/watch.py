"""`remedy watch`: keeps what is applied right while containers come and go."""

from __future__ import annotations

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app

app = command_app()

EXAMPLES = """
remedy watch                    # in the foreground, a line for each event; ^C ends it
remedy watch --format json      # a JSON document a line
kill -HUP PID                   # reads remedy.yaml again
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def watch(context: typer.Context) -> None:
    """Keep what is applied right while containers come and go.

    Follows the engine's events and brings rules, hairpin mode and networks of applied runs to the containers of now.
    It restarts nothing, puts nothing on the host that no run has put there, and does nothing while a run is at work
    or waits. What it did stands in `remedy history`; `remedy rollback` undoes it with the run.
    """
    session = Session(context)
    session.must_work_on_this_host("watch")

    from remedy.apply.preflight import check_may_change
    from remedy.cli.views.watch import teller
    from remedy.watch.service import watch_until_stopped

    settings = session.settings()
    check_may_change(settings, "remedy watch")
    watch_until_stopped(settings, session.spec_path().absolute(), teller(as_json=session.options.is_json))
