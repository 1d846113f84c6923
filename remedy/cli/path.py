"""`remedy path`: how one connection travels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from remedy.cli.context import Session
from remedy.cli.help import RemedyCommand, command_app
from remedy.errors import UsageError

if TYPE_CHECKING:
    from remedy.facts.model import Address, HostFacts
    from remedy.spec.models import HostPort

app = command_app()


class NamePort(NamedTuple):
    """A container's name and a port."""

    name: str
    port: int


EXAMPLES = """
remedy path dev1-haproxy-1 172.17.0.1:5001
remedy path dev1-haproxy-1 172.17.0.1:5001 --after   # and once the plan is applied
remedy path dev1-haproxy-1 dev1-api-1:8080            # by name, as the engine's DNS answers it
remedy path host [::1]:5001
remedy path external 192.0.2.10:443 --client 198.51.100.7
remedy path container:host 10.0.0.5:53/udp           # the container that is called host
remedy path web-1 172.17.0.1:5001 --facts web1.facts.json --format json | jq .via
"""


@app.command(cls=RemedyCommand, epilog=EXAMPLES)
def path(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="a container's name, host, or external")],
    to: Annotated[str, typer.Argument(metavar="TO", help="ADDRESS:PORT[/udp|/sctp], or a container's NAME:PORT")],
    after: Annotated[
        bool, typer.Option("--after", help="also how it travels once the plan of remedy.yaml is applied")
    ] = False,
    client: Annotated[
        str | None,
        typer.Option("--client", metavar="ADDRESS", help="of an external client; the host's default gateway"),
    ] = None,
) -> None:
    """Show how a connection travels, what it costs and why.

    Walks the host's own routes, rules, bridges and sockets as the kernel would, and quotes each one that decides.
    Nothing is sent. A rule that remedy does not know makes the answer unknown, never a guess. The exit code is 0
    whatever the answer.
    """
    target, address = _read_target(to, source), _client_address(client, source)
    session = Session(context)
    spec = session.spec() if after else None  # what is wrong in it is said before the host is looked at
    facts = session.facts()
    described = _travels(facts, source, target, address)
    if spec is not None:
        planned = session.plan_of(spec, facts)
        described["plan"] = {"changes": planned.changes, "refused": bool(planned.refusals)}
        described["after"] = _travels(session.facts_after(facts, planned), source, target, address)
    session.show("path", described)


def _travels(facts: HostFacts, source: str, to: HostPort | NamePort, client: Address | None) -> dict[str, Any]:
    from remedy.paths.names import addresses_of_name, unresolved
    from remedy.paths.walk import Datapath
    from remedy.spec.models import HostPort

    if isinstance(to, NamePort):
        found = addresses_of_name(facts, source, to.name)
        if not found:
            return unresolved(source, to.name, to.port).model_dump(mode="json", by_alias=True)
        to = HostPort(address=found[0], port=to.port)
    verdict = Datapath(facts).connect(source, to, client_address=client)
    return verdict.model_dump(mode="json", by_alias=True)


def _read_target(text: str, source: str) -> HostPort | NamePort:
    from remedy.spec.models import HostPort

    name, _, port = text.rpartition(":")
    # Only what begins with a letter: 10.0.0:80 is a slip of the pen, no name.
    is_name = re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]*", name) is not None and name != "localhost"
    # The engine answers names to containers only.
    if is_name and source not in ("host", "external") and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return NamePort(name, int(port))
    try:
        return HostPort.parse(text)
    except ValueError as error:
        example = "remedy path FROM 172.17.0.1:5001, or [::1]:5001, or 10.0.0.5:53/udp"
        raise UsageError(str(error), where="remedy path, TO", next_step=example) from error


def _client_address(text: str | None, source: str) -> Address | None:
    from ipaddress import ip_address

    if text is None:
        return None
    if source != "external":
        why = "a container and the host send from the address that their routes say"
        raise UsageError("--client is for FROM external", where="remedy path", why=why, next_step="leave it out")
    try:
        return ip_address(text)
    except ValueError as error:
        raise UsageError(str(error), where="remedy path --client", next_step="--client 198.51.100.7") from error
