"""What runs on a lab host, as data: networks, containers, files, settings of the host.

All models are frozen and refuse keys they do not know. A file is YAML (see docs/reference/lab.md and
remedy/lab/topologies/); `remedy.lab.topology_files` reads it, `remedy.lab.replicas` spells out `count`.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

# As Debian's policy names packages: what goes into mmdebstrap's --include can be nothing else.
_PACKAGE = r"^[a-z0-9][a-z0-9+.-]+$"
_PUBLISH = re.compile(
    r"(?:(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<host>\d*):)?(?P<port>\d+)(?:/(?P<protocol>tcp|udp|sctp))?"
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Publish(_Model):
    """A published port, written as Docker does: [[HOST_IP:]HOST_PORT:]PORT[/udp]."""

    port: int
    host_port: int | None = None
    host_ip: str | None = None
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str | int):
            return value
        found = _PUBLISH.fullmatch(str(value))
        if found is None:
            raise ValueError("a port is written [[HOST_IP:]HOST_PORT:]PORT[/udp]")
        return {
            "port": int(found["port"]),
            "host_port": int(found["host"]) if found["host"] else None,
            "host_ip": found["ip"].strip("[]") if found["ip"] else None,
            "protocol": found["protocol"] or "tcp",
        }


class File(_Model):
    """A file of the host or of a container. Lines may begin with @each or @with (see replicas)."""

    path: str = Field(pattern=r"^/")
    content: str = ""
    mode: str = Field("0644", pattern=r"^0?[0-7]{3,4}$")
    link_to: str | None = None  # makes it a symbolic link instead


class Mount(_Model):
    """A bind mount of a path of the host (a directory or a single file) into a container."""

    source: str = Field(pattern=r"^/")
    target: str = Field(pattern=r"^/")
    read_only: bool = False


class Attachment(_Model):
    """How a container hangs on a network. A bare name is enough where nothing is special."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: str | None = None
    ipv6: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return {"network": value} if isinstance(value, str) else value


class Network(_Model):
    """A user-defined network, a bridge unless another driver is named."""

    name: str
    driver: Literal["bridge", "macvlan", "ipvlan"] = "bridge"
    subnets: tuple[IPv4Network | IPv6Network, ...] = ()
    gateway: str | None = None  # of the first subnet; else the engine chooses
    internal: bool = False
    ipv4: bool = True  # without it: 28 and later
    ipv6: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class ComposePlace(_Model):
    """Which project and service a container claims to be of, by the labels that Compose would set."""

    project: str
    service: str
    number: int = 1


class ComposeProject(_Model):
    """Where a project's files are said to be: labels only, the file itself stands in `files`."""

    name: str
    directory: str = Field(pattern=r"^/")
    file: str = "compose.yaml"


class Container(_Model):
    """One container, or `count` of them: then {n} in texts is the number, and published ports count up.

    role: nginx answers HTTP on `listen` with its name and the source address that it saw; haproxy runs in
    master-worker mode with the file at haproxy.cfg's usual place; echo answers TCP and UDP on `listen`; idle sleeps.
    """

    name: str
    role: Literal["nginx", "haproxy", "echo", "idle"] = "nginx"
    count: int | None = Field(None, ge=1)
    command: tuple[str, ...] | None = None
    listen: tuple[int, ...] = (8080,)
    publish: tuple[Publish, ...] = ()
    networks: tuple[Attachment, ...] = ()
    network_mode: str | None = Field(None, pattern=r"^(host|none|bridge|container:.+)$")
    compose: ComposePlace | None = None
    labels: dict[str, str] = {}
    env: dict[str, str] = {}
    restart: str = Field("no", pattern=r"^(no|always|unless-stopped|on-failure(:\d+)?)$")
    stop_timeout: int | None = None
    mounts: tuple[Mount, ...] = ()
    files: tuple[File, ...] = ()
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    state: Literal["running", "stopped", "created", "paused"] = "running"

    @model_validator(mode="after")
    def _one_kind_of_network(self) -> Self:
        if self.networks and self.network_mode:
            raise ValueError(f"{self.name}: networks and network_mode exclude each other")
        return self


class Topology(_Model):
    """A whole host. Everything may be left out."""

    description: str = ""
    extends: str | None = None
    scale: dict[str, int] = {}
    packages: tuple[Annotated[str, Field(pattern=_PACKAGE)], ...] = ()  # of Debian, beside what every host has
    # JSON, or the very bytes of the file.
    daemon_json: dict[str, JsonValue] | str | None = None
    sysctls: dict[str, str | int] = {}
    addresses: tuple[str, ...] = ()
    iptables: str = ""  # iptables-save text, loaded at each boot before the engine starts
    ip6tables: str = ""
    nftables: str = ""
    external_routes: tuple[str, ...] = ()  # subnets that the external machine reaches through this host
    files: tuple[File, ...] = ()
    networks: tuple[Network, ...] = ()
    compose: tuple[ComposeProject, ...] = ()
    containers: tuple[Container, ...] = ()

    @field_validator("containers")
    @classmethod
    def _names_differ(cls, containers: tuple[Container, ...]) -> tuple[Container, ...]:
        names = [container.name for container in containers]
        if len(set(names)) != len(names):
            raise ValueError("two containers have the same name")
        return containers
