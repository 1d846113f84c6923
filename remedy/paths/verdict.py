"""The answer to "how does this connection travel?": verdict, way, and every step with its evidence."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from remedy.facts.model import Address
from remedy.frozen import Frozen

Via = Literal["docker-proxy", "dnat", "direct", "local", "none", "unknown"]
# What the client is told: nothing at all; a reset or "port unreachable"; "no route" or no address to connect from.
Failure = Literal["no-answer", "refused", "unreachable"]


class Step(Frozen):
    """One step of a packet. where: which machine, container or chain; what happens; why: rule, socket or setting."""

    where: str
    what: str
    why: str = ""


class Verdict(Frozen):
    """How one connection travels. reachable None: the model cannot tell, and unknown_because says why.

    by: the answering container's name, `host`, or `outside`. source_sent: the address that the client sends from;
    source_seen: the one that the server sees.
    userspace_copies: how many processes copy each byte on the way. conntrack_entries: on the host.
    back: the steps of the first answer.
    """

    from_: str = Field(alias="from")
    to: str
    reachable: bool | None
    via: Via
    by: str | None = None
    source_sent: Address | None = None
    source_seen: Address | None = None
    userspace_copies: int = 0
    conntrack_entries: int = 0
    failure: Failure | None = None
    unknown_because: str | None = None
    steps: tuple[Step, ...] = ()
    back: tuple[Step, ...] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
