"""`remedy fleet`: many hosts, by the shipped playbooks."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, RemedyGroup, command_app

_EXAMPLES = """
remedy fleet report -i hosts.yml                  # a table: who uses docker-proxy, what is wrong
remedy fleet plan -i hosts.yml -o plans/          # what would change, and the plans as files
ansible-playbook -i hosts.yml $(remedy fleet playbooks)/apply.yml -e remedy_plans_dir=$PWD/plans
remedy fleet facts -i hosts.yml -o facts/         # to plan from elsewhere: remedy plan --facts-dir facts/
"""

app = command_app(cls=RemedyGroup, epilog=_EXAMPLES, no_args_is_help=True)

_Inventory = Annotated[
    list[str], typer.Option("-i", "--inventory", metavar="INVENTORY", help="file, directory or list of Ansible's")
]
_Limit = Annotated[str | None, typer.Option("-l", "--limit", metavar="PATTERN", help="of these hosts only")]
_ExtraVars = Annotated[
    list[str] | None, typer.Option("-e", "--extra-vars", metavar="VARS", help="a variable: name=value, JSON, @FILE")
]
_Forks = Annotated[int | None, typer.Option("-f", "--forks", metavar="N", min=1, help="so many hosts at once (5)")]
_BecomePass = Annotated[bool, typer.Option("-K", "--ask-become-pass", help="ask for the password of sudo")]
_Pass = Annotated[bool, typer.Option("-k", "--ask-pass", help="ask for the password of ssh")]
_VaultPass = Annotated[bool, typer.Option("-J", "--ask-vault-pass", help="ask for the password of the vault")]


@app.callback()
def fleet() -> None:
    """Ask many hosts at once, by Ansible.

    Runs the playbooks that come with remedy by ansible-playbook (pip install 'docker-remedy[fleet]') and shows what
    the hosts answered as one table. None of these changes a host; apply.yml and rollback.yml do, by Ansible itself.
    """


_PLAN_EXAMPLES = """
remedy fleet plan -i hosts.yml
remedy fleet plan -i hosts.yml --limit 'web*' -K
remedy fleet plan -i hosts.yml -o plans/           # for apply.yml, tomorrow
remedy fleet plan -i hosts.yml --format json | jq '.groups[].hosts'
"""


@app.command(cls=RemedyCommand, epilog=_PLAN_EXAMPLES)
def plan(  # noqa: PLR0913
    context: typer.Context,
    *,
    inventory: _Inventory,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="save each host's plan here, for apply.yml")
    ] = None,
    limit: _Limit = None,
    extra_vars: _ExtraVars = None,
    forks: _Forks = None,
    ask_become_pass: _BecomePass = False,
    ask_pass: _Pass = False,
    ask_vault_pass: _VaultPass = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="exit 2 when there are changes")
    ] = False,
) -> None:
    """Show what would change on every host; each different plan once.

    Each host plans by its own remedy.yaml. The exit code is the worst: 1 where a host has no plan, then 7 where one is
    refused, then 2.
    """
    from remedy.cli.progress import telling
    from remedy.fleet.ansible import Request
    from remedy.fleet.commands import plan_hosts

    session = _session(context, "plan")
    request = Request(
        tuple(inventory), limit, tuple(extra_vars or ()), forks, ask_become_pass, ask_pass, ask_vault_pass
    )
    with telling("planned", session.options) as on_answers:
        made = plan_hosts(request, output, on_answers)
    session.show("fleet_plan", made.model_dump(mode="json", by_alias=True))
    raise typer.Exit(made.exit_code(detailed=detailed_exitcode))


_FACTS_EXAMPLES = """
remedy fleet facts -i hosts.yml -o facts/
remedy plan --facts-dir facts/ -c remedy.yaml      # and plan without the hosts
"""


@app.command(cls=RemedyCommand, epilog=_FACTS_EXAMPLES)
def facts(  # noqa: PLR0913
    context: typer.Context,
    *,
    inventory: _Inventory,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="where the files go (./remedy-facts)")
    ] = Path("remedy-facts"),
    limit: _Limit = None,
    extra_vars: _ExtraVars = None,
    forks: _Forks = None,
    ask_become_pass: _BecomePass = False,
    ask_pass: _Pass = False,
    ask_vault_pass: _VaultPass = False,
) -> None:
    """Fetch what remedy sees of every host, a file for each.

    The files name containers, addresses and connections, and hold daemon.json; only their owner may read them. The
    exit code is 1 where a host's are missing.
    """
    from remedy.cli.progress import telling
    from remedy.fleet.ansible import Request
    from remedy.fleet.commands import fetch_facts

    session = _session(context, "facts")
    request = Request(
        tuple(inventory), limit, tuple(extra_vars or ()), forks, ask_become_pass, ask_pass, ask_vault_pass
    )
    with telling("seen", session.options) as on_answers:
        seen = fetch_facts(request, output, on_answers)
    session.show("fleet_facts", seen.model_dump(mode="json"))
    raise typer.Exit(seen.exit_code())


_REPORT_EXAMPLES = """
remedy fleet report -i hosts.yml
remedy fleet report -i hosts.yml -o .              # and as remedy-report.md and .json
remedy fleet report -i hosts.yml --detailed-exitcode   # 0 all well, 2 drift or findings, 8 a run waits
"""


@app.command(cls=RemedyCommand, epilog=_REPORT_EXAMPLES)
def report(  # noqa: PLR0913
    context: typer.Context,
    *,
    inventory: _Inventory,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="leave remedy-report.md and .json here")
    ] = None,
    limit: _Limit = None,
    extra_vars: _ExtraVars = None,
    forks: _Forks = None,
    ask_become_pass: _BecomePass = False,
    ask_pass: _Pass = False,
    ask_vault_pass: _VaultPass = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="exit 2 on drift or findings, 8 when a run waits")
    ] = False,
) -> None:
    """Show what is applied on every host, what drifted, and what the doctor finds.

    The exit code is 1 where a host did not answer.
    """
    from remedy.cli.progress import telling
    from remedy.fleet.ansible import Request
    from remedy.fleet.commands import report_hosts

    session = _session(context, "report")
    request = Request(
        tuple(inventory), limit, tuple(extra_vars or ()), forks, ask_become_pass, ask_pass, ask_vault_pass
    )
    with telling("asked", session.options) as on_answers:
        told = report_hosts(request, output, on_answers)
    session.show("fleet_report", told.model_dump(mode="json"))
    raise typer.Exit(told.exit_code(detailed=detailed_exitcode))


@app.command(
    cls=RemedyCommand,
    epilog="""
ls $(remedy fleet playbooks)
ansible-playbook -i hosts.yml $(remedy fleet playbooks)/apply.yml
""",
)
def playbooks(context: typer.Context) -> None:
    """Print where the playbooks of this remedy are."""
    from remedy.fleet.playbooks import playbooks_directory

    directory = str(playbooks_directory())
    Session(context).say({"playbooks": directory}, directory)


def _session(context: typer.Context, command: str) -> Session:
    session = Session(context)
    session.must_be_for_many_hosts(f"fleet {command}")
    signal.signal(signal.SIGTERM, _interrupt)  # Ansible is ended with us
    return session


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
