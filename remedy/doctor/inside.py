"""Connections of containers to published ports that do not work on this host, asked of the model one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.facts.model import Address, Container, Protocol
from remedy.paths.published import PublishedPort
from remedy.paths.verdict import Step, Verdict
from remedy.paths.walk import with_bridge_netfilter
from remedy.spec.models import HostPort

_MOST_QUESTIONS = 500
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class _Failure:
    """A connection that does not work, and the step where it ends."""

    client: str
    to: HostPort
    server: str
    step: Step

    @property
    def evidence(self) -> Evidence:
        return Evidence(
            what=f"{self.client} -> {self.to} ({self.server}): {self.step.what}",
            where=f"{self.step.where}: {self.step.why}".rstrip(": "),
        )


def inside(patient: Patient) -> Iterator[Finding]:
    """For each published port a client on its own bridge, and its own container."""
    failures = list(_failures(patient))
    # A rule's place names the hook; a policy's is its base chain.
    in_input = [f for f in failures if "(input)" in f.step.where or f.step.where.lower().endswith(" input")]
    if in_input:
        yield _dropped_in_input(patient, in_input)
    if patient.facts.engine.userland_proxy is False:
        yield from _no_hairpin(patient, [failure for failure in failures if "hairpin" in failure.step.why])
        yield from _no_bridge_netfilter(patient, failures)
    yield from _ports_past_ufw(patient)


def _failures(patient: Patient) -> Iterator[_Failure]:
    number = 0
    for port in patient.ports:
        if port.protocol is not Protocol.TCP or port.host_family != 4 or not port.is_nat:
            continue
        gateway = _gateway(port)
        if gateway is None or (port.host_address is not None and port.host_address != gateway):
            continue
        to = HostPort(address=gateway, port=port.port)
        for client in _clients(patient, port):
            if number >= _MOST_QUESTIONS:
                return
            number += 1
            verdict = patient.connect(client.name, to)
            # Refused says only that the server does not listen.
            if verdict is not None and verdict.reachable is False and verdict.failure == "no-answer":
                yield _Failure(client.name, to, port.container.name, _last(verdict))


def _gateway(port: PublishedPort) -> Address | None:
    return next((gateway for gateway in port.network.gateways if gateway.version == port.host_family), None)


def _clients(patient: Patient, port: PublishedPort) -> Iterator[Container]:
    """The port's own container, and the first other one on its network."""
    yield port.container
    for container in patient.facts.containers:
        is_there = any(endpoint.network_id == port.network.id for endpoint in container.endpoints)
        if is_there and container.is_running and container.id != port.container.id:
            yield container
            return


def _last(verdict: Verdict) -> Step:
    """Where it ends; the way back tells more than the step that sums it up."""
    lost_on_the_way_back = verdict.steps[-1].what.startswith("the answer") and verdict.back
    return verdict.back[-1] if lost_on_the_way_back else verdict.steps[-1]


def _dropped_in_input(patient: Patient, failures: list[_Failure]) -> Finding:
    facts = patient.facts
    names = [
        name for name, on in (("ufw", facts.firewall.ufw_active), ("firewalld", facts.firewall.firewalld_active)) if on
    ]
    who = " and ".join(names) or "the host's firewall"
    return Finding(
        code="proxy-blocked-by-firewall",
        severity="medium",
        title=f"{who} keeps containers from docker-proxy: published ports do not answer at the gateway's address",
        evidence=tuple(failure.evidence for failure in failures[:_SHOWN]),
        consequence="other machines reach these ports, containers on the same bridge do not: their packets are meant "
        "for a process of the host, docker-proxy, so INPUT decides, and not FORWARD",
        remedy=_input_cure(names, failures[0])
        + "; without docker-proxy these connections are translated and never meet INPUT",
        spec="remedies: {userland_proxy: false}",
        confidence="likely",
    )


def _input_cure(names: list[str], failure: _Failure) -> str:
    if "ufw" in names:
        return f"ufw allow from SUBNET to {failure.to.address} port {failure.to.port} proto tcp"
    if "firewalld" in names:
        return "firewall-cmd --permanent --zone=docker --set-target=ACCEPT, then firewall-cmd --reload"
    return f"accept TCP to {failure.to.address} from the bridge in INPUT"


def _no_hairpin(patient: Patient, failures: list[_Failure]) -> Iterator[Finding]:
    clients = list(dict.fromkeys(failure.client for failure in failures))
    off = [
        port.interface
        for port in patient.facts.bridge_ports
        if not port.hairpin_mode and patient.names.get(port.container_id or "") in clients
    ]
    if not failures:
        return
    yield Finding(
        code="hairpin-mode-off",
        severity="medium",
        title=f"containers do not reach their own published port: {_some(clients)}",
        evidence=tuple(failure.evidence for failure in failures[:_SHOWN]),
        consequence="the bridge does not send a packet back through the port that it came by; the engine sets that "
        "when a container starts, not for those that ran when docker-proxy was switched off",
        remedy="; ".join(f"bridge link set dev {interface} hairpin on" for interface in off),
        confidence="likely",
    )


def _no_bridge_netfilter(patient: Patient, failures: list[_Failure]) -> Iterator[Finding]:
    name = "net.bridge.bridge-nf-call-iptables"
    value = patient.facts.sysctls.get(name)
    if value == "1":
        return
    switched_on = Patient(with_bridge_netfilter(patient.facts, on=True))
    failures = [failure for failure in failures if _works(switched_on, failure)]
    if not failures:
        return
    yield Finding(
        code="bridge-netfilter-off",
        severity="high",
        title=f"neighbours on a bridge do not reach published ports: {name} is {value or 'not there'}",
        evidence=tuple(failure.evidence for failure in failures[:_SHOWN]),
        consequence="without docker-proxy the connection is translated on its way there, and the answer, which stays "
        "on the bridge, is not translated back: the client waits until it gives up",
        remedy=f"modprobe br_netfilter; sysctl -w {name}=1, and the same in /etc/sysctl.d",
        confidence="likely",
    )


def _works(patient: Patient, failure: _Failure) -> bool:
    verdict = patient.connect(failure.client, failure.to)
    return verdict is not None and verdict.reachable is True


def _ports_past_ufw(patient: Patient) -> Iterator[Finding]:
    """ufw filters INPUT; a published port is translated before, and forwarded."""
    if not patient.facts.firewall.ufw_active:
        return
    open_ports = sorted({port.port for port in patient.ports if port.host_address is None and port.is_nat})
    if not open_ports:
        return
    yield Finding(
        code="ports-past-ufw",
        severity="low",
        title=f"ufw does not see published ports: {_some([str(port) for port in open_ports])}",
        evidence=(Evidence(what=f"{len(open_ports)} ports on every address of the host", where="docker ps"),),
        consequence="these connections are translated ahead of ufw's rules and forwarded: a `ufw deny` of such a port "
        "does nothing, with docker-proxy and without",
        remedy="publish on one address (-p 127.0.0.1:P:P), or filter in DOCKER-USER by the container's port",
        confidence="likely",
    )


def _some(items: list[str], most: int = 4) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
