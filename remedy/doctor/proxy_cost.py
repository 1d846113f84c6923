"""What the docker-proxy processes themselves cost: processor time, memory, and one pair of them for each port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.facts.model import DockerProxy

# Below these nobody would notice.
NOTICEABLE_SHARE = 0.05
NOTICEABLE_BYTES = 64 << 20
MANY_PORTS = 20
_SHOWN = 5
_MIB = 1 << 20


def proxy_cost(patient: Patient) -> Iterator[Finding]:
    """Processor time and memory of docker-proxy, where they are worth a word."""
    yield from _processor(patient)
    yield from _memory(patient)


def share_of(patient: Patient, proxy: DockerProxy) -> float:
    """The part of a processor that a docker-proxy uses: measured now, else since it started."""
    now = patient.measured.cpu_seconds.get(proxy.pid)
    if now is not None and patient.measured.seconds > 0:
        return now / patient.measured.seconds
    if proxy.cpu_seconds is None or not proxy.age_seconds:
        return 0.0
    return proxy.cpu_seconds / proxy.age_seconds


def _processor(patient: Patient) -> Iterator[Finding]:
    shares = sorted(((share_of(patient, p), p) for p in patient.facts.docker_proxies), key=lambda item: -item[0])
    total = sum(share for share, _ in shares)
    if total < NOTICEABLE_SHARE:
        return
    when = f"over the last {patient.measured.seconds:.1f} s" if patient.measured.cpu_seconds else "since they started"
    busy = [(share, proxy) for share, proxy in shares if share >= NOTICEABLE_SHARE / 10]
    yield Finding(
        code="proxy-processor-time",
        severity="high" if total >= 0.5 else "medium",
        title=f"docker-proxy uses {total:.0%} of a processor",
        evidence=tuple(
            Evidence(what=f"{_shown(patient, proxy)}: {share:.0%} {when}", where=f"/proc/{proxy.pid}/stat")
            for share, proxy in busy[:_SHOWN]
        ),
        consequence="the kernel would pass these bytes on without any process; under load this is what limits the host",
        remedy="see which connections run through docker-proxy above; remedy plan takes it out of their way",
        confidence="seen",
    )


def _memory(patient: Patient) -> Iterator[Finding]:
    proxies = patient.facts.docker_proxies
    total = sum(proxy.resident_bytes or 0 for proxy in proxies)
    by_container = Counter(patient.server_of(proxy) for proxy in proxies)
    ranges = {name: number for name, number in by_container.items() if number >= MANY_PORTS}
    if total < NOTICEABLE_BYTES and not ranges:
        return
    evidence = [Evidence(what=f"{len(proxies)} processes, {total / _MIB:.0f} MiB resident", where="/proc/PID/statm")]
    for name, number in sorted(ranges.items(), key=lambda item: -item[1])[:_SHOWN]:
        own = [proxy for proxy in proxies if patient.server_of(proxy) == name]
        size = sum(proxy.resident_bytes or 0 for proxy in own) / _MIB
        low, high = min(p.host_port for p in own), max(p.host_port for p in own)
        evidence.append(Evidence(what=f"{name}: {number} of them, {size:.0f} MiB, for ports {low} to {high}"))
    yield Finding(
        code="proxy-memory",
        severity="medium" if total >= 512 * _MIB else "low",
        title=f"{len(proxies)} docker-proxy processes occupy {total / _MIB:.0f} MiB",
        evidence=tuple(evidence),
        consequence="the engine starts one process for each published port and IP version, some 3 MiB each, before the "
        "container starts: wide ranges make containers slow to start and cost memory without a connection",
        remedy="publish fewer ports, or on one address (-p 0.0.0.0:P:P leaves IPv6 out), or run without docker-proxy",
        spec="remedies: {userland_proxy: false}",
        confidence="seen",
    )


def _shown(patient: Patient, proxy: DockerProxy) -> str:
    return f"docker-proxy pid {proxy.pid} (port {proxy.host_port} -> {patient.server_of(proxy)})"
