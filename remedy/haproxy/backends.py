"""Are the servers there under their new names? Asked from haproxy's own network, before anything is led to them."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from remedy.errors import HaproxyError
from remedy.facts.model import Address, Container
from remedy.haproxy.containers import Containers
from remedy.haproxy.running import RunningHaproxy
from remedy.host.namespaces import run_in_network_namespace
from remedy.plan.actions import RewiredServer

WAIT_SECONDS = 10.0
INTERVAL_SECONDS = 0.2
CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 1.0
ENGINES_DNS = "127.0.0.11"


@dataclass(frozen=True, slots=True)
class Backends:
    """The containers behind the servers, and the addresses that haproxy may reach each at.

    balancer: the container whose networks haproxy is on, None for those of the host. network: the one that is meant.
    """

    running: RunningHaproxy
    containers: Containers
    balancer: Container | None
    network: str

    def wait(self, servers: Collection[RewiredServer]) -> dict[str, Address]:
        """Until every name leads to its container and nothing else, and answers; an address by container id.

        Raises HaproxyError, EngineError.
        """
        looked_up = {server.container_id: self._container(server) for server in servers}
        expected = {container_id: self._addresses(found) for container_id, found in looked_up.items()}
        behind = self._behind_names(servers, looked_up)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            missing = run_in_network_namespace(self.running.pid, lambda: _missing(servers, expected, behind))
            if missing is None:
                return {container_id: addresses[0] for container_id, addresses in expected.items()}
            if time.monotonic() > deadline:
                raise HaproxyError(missing, where="haproxy's network", why=f"waited for it for {WAIT_SECONDS:g} s")
            time.sleep(INTERVAL_SECONDS)

    def _container(self, server: RewiredServer) -> Container:
        found = self.containers.find(server.container_id)
        if found is None or not found.is_running:
            raise HaproxyError(f"the container {server.container} does not run", where=f"{server.proxy}/{server.name}")
        return found

    def _addresses(self, backend: Container) -> tuple[Address, ...]:
        addresses = addresses_in_common(self.balancer, backend, self.network)
        if not addresses:
            raise HaproxyError(f"haproxy shares no network with {backend.name}")
        return addresses

    def _behind_names(
        self, servers: Iterable[RewiredServer], looked_up: Mapping[str, Container]
    ) -> dict[str, frozenset[Address]]:
        """What each name may lead to: its containers, and for a template's all of their service."""
        behind: dict[str, set[Address]] = {}
        for server in servers:
            backend = looked_up[server.container_id]
            members = [backend, *(self.containers.of_service(backend) if server.is_template else ())]
            for member in members:
                found = addresses_in_common(self.balancer, member, self.network)
                behind.setdefault(server.host, set()).update(found)
        return {host: frozenset(addresses) for host, addresses in behind.items()}


def addresses_in_common(balancer: Container | None, backend: Container, network: str) -> tuple[Address, ...]:
    """The backend's addresses on the networks that haproxy is on too, those on `network` and of IPv4 first."""
    shared = None if balancer is None else {endpoint.network_id for endpoint in balancer.endpoints}
    endpoints = sorted(backend.endpoints, key=lambda endpoint: endpoint.network_name != network)
    return tuple(
        interface.ip
        for endpoint in endpoints
        if shared is None or endpoint.network_id in shared
        for interface in (endpoint.ipv4, endpoint.ipv6)
        if interface is not None
    )


def resolve(name: str, kind: str) -> frozenset[Address]:
    """Ask the engine's DNS from the calling thread's network namespace; none when it does not know or answer."""
    import dns.exception
    import dns.message
    import dns.query
    import dns.rdatatype

    try:
        question = dns.message.make_query(name, kind)
        answer = dns.query.udp(question, ENGINES_DNS, timeout=ANSWER_SECONDS)
    except (dns.exception.DNSException, OSError, ValueError):
        return frozenset()
    wanted = dns.rdatatype.from_text(kind)
    return frozenset(
        ip_address(record.address) for rrset in answer.answer if rrset.rdtype == wanted for record in rrset
    )


def _missing(
    servers: Iterable[RewiredServer],
    expected: Mapping[str, Collection[Address]],
    behind: Mapping[str, frozenset[Address]],
) -> str | None:
    """What is not there yet, None when all is; called in haproxy's namespace."""
    answers = {host: _addresses_of(host, addresses) for host, addresses in behind.items()}
    for server in servers:
        found = answers[server.host]
        own = [address for address in expected[server.container_id] if address in found]
        strange = found - behind[server.host]
        if strange:
            return f"the name {server.host} leads to {_listed(strange)} too, which is not {server.container}"
        if not own:
            return f"the name {server.host} does not lead to {server.container}"
        silent = next((address for address in own if not _answers(address, server.port)), None)
        if silent is not None:
            return f"{server.container} does not answer at {silent} port {server.port}"
    return None


def _addresses_of(host: str, expected: Iterable[Address]) -> frozenset[Address]:
    try:
        return frozenset({ip_address(host)})
    except ValueError:
        kinds = {"A" if address.version == 4 else "AAAA" for address in expected}
        return frozenset(address for kind in kinds for address in resolve(host, kind))


def _answers(address: Address, port: int) -> bool:
    try:
        with socket.create_connection((str(address), port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _listed(addresses: Iterable[Address]) -> str:
    return ", ".join(str(address) for address in sorted(addresses, key=str))
