"""What the doctor says: findings, each with its evidence, and whether this host needs docker-proxy."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from remedy.frozen import Frozen
from remedy.paths.tracked import Tracked

FORMAT_VERSION = 1

# high: it costs or endangers traffic now; medium: it does under circumstances; low: good to know, cheap to mend.
Severity = Literal["high", "medium", "low"]
# seen: it was there when the doctor looked, or watched; likely: the configuration says so; possible: it may be.
Confidence = Literal["seen", "likely", "possible"]


class Evidence(Frozen):
    """One thing that was found, and where: a socket, a line of a file, a rule, a setting."""

    what: str
    where: str = ""


class ProxiedConnection(Frozen):
    """One client's way through one docker-proxy. connections: open now; tracked: conntrack entries, closed ones too."""

    from_: str = Field(alias="from")
    to: str
    pid: int | None
    container: str
    container_address: str
    connections: int = 0
    tracked: int = 0
    observed: int = 0
    known_by: tuple[str, ...] = ()

    model_config = ConfigDict(populate_by_name=True)


class Finding(Frozen):
    """One thing that is wrong. remedy: what to do about it; spec: the lines of remedy.yaml that would, if any do."""

    code: str
    severity: Severity
    title: str
    evidence: tuple[Evidence, ...]
    consequence: str
    remedy: str
    spec: str | None = None
    confidence: Confidence
    connections: tuple[ProxiedConnection, ...] = ()


class LostWithoutProxy(Frozen):
    """A known consumer whose connection only docker-proxy makes."""

    from_: str = Field(alias="from")
    to: str
    container: str
    why: str
    known_by: str

    model_config = ConfigDict(populate_by_name=True)


class ProxyNeeded(Frozen):
    """Is docker-proxy needed on this host? needed None: it cannot be told, and answer says why.

    possible: who might need it without being known. made_for: what it was made for.
    """

    needed: bool | None
    answer: str
    consumers: tuple[LostWithoutProxy, ...] = ()
    possible: tuple[str, ...] = ()
    made_for: str = ""


class Seen(Frozen):
    """A consumer that a watch saw."""

    from_: str = Field(alias="from")
    to: str
    count: int
    first_seen: datetime
    last_seen: datetime

    model_config = ConfigDict(populate_by_name=True)


class ObservedSummary(Frozen):
    """How long was watched altogether, and whom that showed. is_complete: no connection can have been missed."""

    seconds: float
    consumers: tuple[Seen, ...]
    last_ended: datetime | None = None
    is_complete: bool = True


class DoctorHost(Frozen):
    """The host that was examined."""

    hostname: str
    engine_version: str
    firewall_backend: str
    userland_proxy: bool | None
    containers: int
    docker_proxy_processes: int
    docker_proxy_connections: int
    gathered_at: datetime


class Diagnosis(Frozen):
    """Everything that `remedy doctor` has to say, findings dearest first."""

    format_version: Literal[1] = 1
    remedy_version: str
    host: DoctorHost
    findings: tuple[Finding, ...]
    proxy_needed: ProxyNeeded
    observed: ObservedSummary | None
    conntrack: Tracked | None = None  # None: connections are not tracked, or the table was not read
    not_examined: tuple[Evidence, ...] = ()  # what could not be read, and so was not looked at
    next_step: str
