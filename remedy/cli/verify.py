"""`remedy verify`: the probes alone."""

from __future__ import annotations

import os

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import PermissionNeededError

app = command_app()

EXAMPLES = """
remedy verify                              # 0 all work, 2 one does not, or an untracked pair is tracked
remedy verify --format json | jq '.probes[] | select(.after == false)'
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def verify(context: typer.Context) -> None:
    """Try the probes now.

    Opens the connections that remedy.yaml names and those that remedy finds by itself, each from where its
    consumer is, and shows how full the conntrack table is, and by whom; where notrack is in place, also
    what it has of those pairs. Changes nothing.
    """
    from remedy.paths.tracked import tracked
    from remedy.paths.untracked import own_tables
    from remedy.verify.run import verify as try_probes
    from remedy.verify.untracked import traffic_now

    session = Session(context)
    session.must_work_on_this_host("verify")
    if os.geteuid() != 0:
        raise PermissionNeededError(
            "remedy verify needs root",
            why="it finds consumers in, and connects from, the network namespaces of containers",
            next_step="sudo remedy verify",
        )
    spec = session.spec()
    facts = session.facts()
    table = tracked(facts)
    probes = [probe.model_dump(mode="json", by_alias=True) for probe in try_probes(facts, spec)]
    traffic = traffic_now(facts)
    untracked = [pair.model_dump(mode="json") for pair in traffic]
    own = [table.model_dump(mode="json") for table in own_tables(facts, traffic)]
    shown = None if table is None else table.model_dump(mode="json")
    session.show("probes", {"probes": probes, "conntrack": shown, "untracked": untracked, "own_tables": own})
    if any(not probe_works(probe) for probe in probes) or any(pair["entries"] for pair in untracked):
        raise typer.Exit(2)


def probe_works(probe: dict[str, object]) -> bool:
    """Whether the newest try of a probe went well."""
    latest = probe["before"] if probe["after"] is None else probe["after"]
    return latest is not False
