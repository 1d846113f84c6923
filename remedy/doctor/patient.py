"""The host under examination: its facts, the model of its datapath, and who has which address."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from remedy.errors import RemedyError
from remedy.facts.model import Address, DockerProxy, HostFacts, Protocol
from remedy.netfilter.rules import RuleTable
from remedy.paths.clients import CONTAINER_PREFIX, EXTERNAL, HOST, UnknownSourceError
from remedy.paths.published import PublishedPort, container_by_address, host_addresses, published_ports
from remedy.paths.rules_of_host import rule_tables
from remedy.paths.verdict import Verdict
from remedy.paths.walk import Datapath
from remedy.plan.model import Plan
from remedy.plan.planner import make_plan
from remedy.spec.models import HostPort, Remedies, Spec


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on the spot, beside the facts: processor time of each docker-proxy over `seconds`."""

    seconds: float = 0.0
    cpu_seconds: dict[int, float] = field(default_factory=dict)


class Patient:
    """One host, looked up in many ways. Nothing in here changes; what is dear is computed once."""

    def __init__(self, facts: HostFacts, measured: Measured | None = None) -> None:
        self.facts = facts
        self.measured = measured or Measured()
        self.own = host_addresses(facts)
        self.containers = container_by_address(facts)
        self.names = {container.id: container.name for container in facts.containers}
        self.proxies = {proxy.pid: proxy for proxy in facts.docker_proxies if proxy.pid}

    @cached_property
    def has_network(self) -> bool:
        """Whether the host's own namespace was read: without it nothing can be walked."""
        return any(space.is_host for space in self.facts.namespaces)

    @cached_property
    def ports(self) -> tuple[PublishedPort, ...]:
        """All published ports."""
        return published_ports(self.facts)

    @cached_property
    def without_proxy(self) -> Plan | RemedyError:
        """The plan that takes docker-proxy off this host: whom it would cut off, and what would save them."""
        spec = Spec(version=1, remedies=Remedies(userland_proxy=False))
        try:
            return make_plan(spec, self.facts, spec_digest="", now=self.facts.gathered_at)
        except RemedyError as error:
            return error

    @cached_property
    def datapath(self) -> Datapath:
        """How packets travel on this host."""
        return Datapath(self.facts)

    @cached_property
    def tables(self) -> tuple[RuleTable, ...]:
        """All firewall rules, typed."""
        return rule_tables(self.facts)

    def client_at(self, address: Address) -> str:
        """Who connects from an address: a container's name, `host` or `external`."""
        if address.is_loopback or address in self.own:
            return HOST
        container = self.containers.get(address)
        if container is None:
            return EXTERNAL
        ambiguous = container.name in (HOST, EXTERNAL)
        return f"{CONTAINER_PREFIX}{container.name}" if ambiguous else container.name

    def connect(self, client: str, to: HostPort, address: Address | None = None) -> Verdict | None:
        """How a client reaches an address; None where there is no such client, or nothing to ask."""
        if not self.has_network:
            return None
        try:
            return self.datapath.connect(client, to, client_address=address if client == EXTERNAL else None)
        except UnknownSourceError:
            return None

    def proxy_at(self, to: HostPort) -> DockerProxy | None:
        """The docker-proxy that accepts connections to an address of the host."""
        if self.has_network:
            socket = self.datapath.topology.host.listener(to.protocol, to.address, to.port)
            if socket is not None:
                return self.datapath.topology.proxy_of(socket)
        return self.proxy_for(to.protocol, to.address, to.port)

    def proxy_for(self, protocol: Protocol, address: Address, port: int) -> DockerProxy | None:
        """The docker-proxy of an address and port by the command lines alone."""
        for proxy in self.facts.docker_proxies:
            if (proxy.protocol, proxy.host_port) != (protocol, port) or proxy.host_address.version != address.version:
                continue
            if proxy.host_address.is_unspecified or proxy.host_address == address:
                return proxy
        return None

    def server_of(self, proxy: DockerProxy) -> str:
        """The name of the container that a docker-proxy connects to."""
        container = self.containers.get(proxy.container_address)
        return "?" if container is None else container.name
