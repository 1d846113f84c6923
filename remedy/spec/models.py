"""remedy.yaml as typed values. No I/O here; `remedy.spec.load` reads and locates errors.

An absent key always means: leave this as it is.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    Tag,
    field_validator,
    model_validator,
)

from remedy.facts.model import Address, Protocol
from remedy.spec.base import SpecModel
from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.duration import PATTERN as DURATION_PATTERN
from remedy.spec.duration import parse_duration

Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


class ServiceRef(SpecModel):
    """All containers of one compose service."""

    project: str = Field(description="the compose project (label com.docker.compose.project)")
    service: str = Field(description="the service in it (label com.docker.compose.service)")


class UnitRef(SpecModel):
    """A load balancer that runs as a service of the host."""

    unit: str = Field(description="the systemd unit, such as haproxy.service", pattern=r"^[\w@.:\\-]+\.service$")


class Backend(SpecModel):
    """A group of containers that serve the same port. Exactly one way to name them."""

    containers: tuple[str, ...] | None = Field(default=None, min_length=1, description="container names")
    project: str | None = Field(default=None, description="compose project, with `service`")
    service: str | None = Field(default=None, description="compose service, with `project`")
    label: str | None = Field(default=None, description='label "KEY" or "KEY=VALUE"')
    port: Port = Field(description="the port inside the container")
    protocol: Protocol = Protocol.TCP

    @model_validator(mode="after")
    def _named_in_one_way(self) -> Backend:
        ways = [self.containers is not None, bool(self.project or self.service), self.label is not None]
        if sum(ways) != 1:
            raise ValueError("name the containers in exactly one way: containers, project + service, or label")
        if bool(self.project) != bool(self.service):
            raise ValueError("project and service belong together")
        return self


class HairpinOptions(SpecModel):
    """The hairpin remedy in detail; `hairpin: true` is {loopback: false}."""

    loopback: StrictBool = Field(
        default=False, description="redirect the host's own 127.0.0.1:PORT too (route_localnet)"
    )


def _hairpin_form(value: object) -> str | None:
    if isinstance(value, bool):
        return "switch"
    return "HairpinOptions" if isinstance(value, dict | HairpinOptions) else None


# Callable discriminators, so that an error is that of the form which was meant, not of all of them.
Hairpin = Annotated[
    Annotated[StrictBool, Tag("switch")] | Annotated[HairpinOptions, Tag("HairpinOptions")],
    Discriminator(
        _hairpin_form,
        custom_error_type="form",
        custom_error_message="expected true, false or a mapping with the key loopback",
    ),
]


class UserNetworkOptions(SpecModel):
    """The user_network remedy in detail; `user_network: NAME` is {name: NAME}."""

    name: str = Field(
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$",
        description="the network: an existing user-defined bridge network, or a new one that remedy makes",
    )
    subnet: IPv4Network | None = Field(default=None, description="of a new network; else one that is free is chosen")
    subnet6: IPv6Network | None = Field(default=None, description="gives a new network IPv6")
    restart_load_balancer: StrictBool = Field(
        default=False, description="a haproxy that cannot be reloaded may be restarted: its connections are cut"
    )


def _user_network_form(value: object) -> str | None:
    if isinstance(value, str):
        return "name"
    return "UserNetworkOptions" if isinstance(value, dict | UserNetworkOptions) else None


NetworkName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$")]
UserNetwork = Annotated[
    Annotated[NetworkName, Tag("name")] | Annotated[UserNetworkOptions, Tag("UserNetworkOptions")],
    Discriminator(
        _user_network_form,
        custom_error_type="form",
        custom_error_message="expected a network's name or a mapping with the keys name, subnet ...",
    ),
]


class NotrackOptions(SpecModel):
    """The notrack remedy in detail; `notrack: true` is {}."""

    network: NetworkName | None = Field(
        default=None, description="only pairs on this network; else on every network that both are on"
    )
    inside: StrictBool = Field(
        default=True,
        description="also in the containers' own namespaces, where the engine's DNS has everything tracked",
    )


def _notrack_form(value: object) -> str | None:
    if isinstance(value, bool):
        return "switch"
    return "NotrackOptions" if isinstance(value, dict | NotrackOptions) else None


Notrack = Annotated[
    Annotated[StrictBool, Tag("switch")] | Annotated[NotrackOptions, Tag("NotrackOptions")],
    Discriminator(
        _notrack_form,
        custom_error_type="form",
        custom_error_message="expected true, false or a mapping with the keys network, inside",
    ),
]


class Remedies(SpecModel):
    """What is wanted of this host."""

    userland_proxy: StrictBool | None = Field(
        default=None, description="as in daemon.json: false takes docker-proxy out of every path"
    )
    hairpin: Hairpin | None = Field(
        default=None, description="own DNAT ahead of the engine's, without a restart of the engine"
    )
    user_network: UserNetwork | None = Field(
        default=None, description="the load balancer and the backends on one user-defined network, servers by name"
    )
    notrack: Notrack | None = Field(
        default=None, description="conntrack does not see what the load balancer and its backends say to each other"
    )
    conntrack: ConntrackOptions | None = Field(
        default=None, description="how many connections the kernel can track, and for how long"
    )

    @property
    def hairpin_options(self) -> HairpinOptions | None:
        """The hairpin remedy's options, None when it is not wanted."""
        if isinstance(self.hairpin, HairpinOptions):
            return self.hairpin
        return HairpinOptions() if self.hairpin else None

    @property
    def notrack_options(self) -> NotrackOptions | None:
        """The notrack remedy's options, None when it is not wanted."""
        if isinstance(self.notrack, NotrackOptions):
            return self.notrack
        return NotrackOptions() if self.notrack else None

    @property
    def user_network_options(self) -> UserNetworkOptions | None:
        """The user_network remedy's options, None when it is not wanted."""
        if isinstance(self.user_network, str):
            return UserNetworkOptions(name=self.user_network)
        return self.user_network


class HostPort(SpecModel):
    """ADDRESS:PORT[/PROTOCOL] with the address as a number; [v6]:PORT for IPv6."""

    address: Address
    port: Port
    protocol: Protocol = Protocol.TCP

    def __str__(self) -> str:
        shown = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        suffix = "" if self.protocol is Protocol.TCP else f"/{self.protocol}"
        return f"{shown}:{self.port}{suffix}"

    @classmethod
    def parse(cls, text: str) -> HostPort:
        """Read ADDRESS:PORT[/PROTOCOL]. Raises ValueError that says what is expected."""
        expected = f"{text!r} is not ADDRESS:PORT[/tcp|udp|sctp], with [..] around an IPv6 address"
        endpoint, _, protocol = text.partition("/")
        host, colon, port = endpoint.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit():
            raise ValueError(expected)
        if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
            raise ValueError(expected)
        try:
            address = ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
            return cls(address=address, port=int(port), protocol=Protocol(protocol or "tcp"))
        except ValueError as error:
            raise ValueError(expected) from error


def _host_port_text(value: str) -> str:
    return str(HostPort.parse(value))


HostPortText = Annotated[str, AfterValidator(_host_port_text)]


class AcceptedLoss(SpecModel):
    """A consumer whose loss is accepted by name. `from`: container, host or external; `to`: ADDRESS:PORT."""

    from_: str = Field(alias="from", description="container name, host or external")
    to: HostPortText = Field(description='where it connects to, such as "[::1]:5001"')

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Probe(SpecModel):
    """A connection that must work before and after: TCP, or HTTP when `http` names a path."""

    from_: str = Field(alias="from", description="container name, host or external")
    to: HostPortText = Field(description="ADDRESS:PORT")
    http: str | None = Field(default=None, description="path to GET, such as /healthz; any answer < 500 is good")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("http")
    @classmethod
    def _is_path(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith("/") or any(c.isspace() or ord(c) < 33 for c in value)):
            raise ValueError("an HTTP path begins with / and has no blanks or control characters")
        return value


class Policy(SpecModel):
    """How far remedy may go."""

    restart_engine: StrictBool = Field(
        default=True, description="the engine may be restarted; false keeps userland_proxy as it is"
    )
    stop_containers: StrictBool = Field(
        default=False, description="containers may be stopped where live-restore cannot be had"
    )
    confirm_within: str | None = Field(
        default=None,
        pattern=DURATION_PATTERN,
        description="roll back unless confirmed in time, such as 60s",
    )
    accept_pinned: StrictBool = Field(
        default=False, description="accept rules that are pinned to container addresses (hairpin, notrack; no watcher)"
    )

    @property
    def confirm_within_seconds(self) -> int | None:
        """The time to confirm in, None when no confirmation is wanted."""
        return None if self.confirm_within is None else parse_duration(self.confirm_within)


def _load_balancer_form(value: object) -> str | None:
    if isinstance(value, str):
        return "name"
    if isinstance(value, UnitRef) or (isinstance(value, dict) and "unit" in value):
        return "UnitRef"
    return "ServiceRef" if isinstance(value, dict | ServiceRef) else None


LoadBalancer = Annotated[
    Annotated[str, Tag("name")] | Annotated[ServiceRef, Tag("ServiceRef")] | Annotated[UnitRef, Tag("UnitRef")],
    Discriminator(
        _load_balancer_form,
        custom_error_type="form",
        custom_error_message="expected a container name, {project, service} or {unit}",
    ),
]


class Spec(SpecModel):
    """The whole of remedy.yaml, version 1."""

    version: Literal[1] = Field(description="always 1")
    load_balancer: LoadBalancer | None = Field(default=None, description="container name, {project, service} or {unit}")
    backends: tuple[Backend, ...] = ()
    remedies: Remedies = Remedies()
    accept: tuple[AcceptedLoss, ...] = ()
    probes: tuple[Probe, ...] = ()
    watch: StrictBool | None = Field(default=None, description="the watcher is installed (true), or is not (false)")
    policy: Policy = Policy()
    accept_pinned: StrictBool | None = Field(default=None, description="short for policy.accept_pinned")

    @property
    def accepts_pinned(self) -> bool:
        """Whether rules pinned to container addresses are accepted."""
        return self.policy.accept_pinned if self.accept_pinned is None else self.accept_pinned
