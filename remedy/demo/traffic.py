"""Who uses the published ports while they change hands, and what those connections met."""

from __future__ import annotations

from dataclasses import dataclass

from remedy.bench.load_model import LoadOrder, LoadResult, Vantage, VantageResult
from remedy.demo.throughput import Way
from remedy.lab import Host

BALANCER = "dev1-haproxy-1"
BACKEND = "dev1-api-1"
GATEWAY = "172.17.0.1"
WAYS = ("haproxy → gateway → api", "client → haproxy → api")
_INTERVAL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Losses:
    """What a load result comes to. late: answered, and only after more than 200 ms."""

    connections: int
    lost: int
    late: int
    longest_ms: float


def load_order(host: Host) -> LoadOrder:
    """From everywhere at once: a new connection every 10 ms each, and one that is kept alive."""
    outside, balancer = str(host.external.netns_path), _namespace_of(host, BALANCER)
    return LoadOrder(
        vantages=(
            Vantage(name="another machine → haproxy", netns=outside, address=host.address, port=8080, asks_again=True),
            Vantage(name="another machine → api 1", netns=outside, address=host.address, port=5001),
            Vantage(name="the host's loopback → api 2", netns=str(host.netns_path), address="127.0.0.1", port=5002),
            Vantage(name="haproxy → gateway → api 3", netns=balancer, address=GATEWAY, port=5003),
        ),
        interval_seconds=_INTERVAL_SECONDS,
    )


def ways(host: Host) -> tuple[Way, ...]:
    """What is measured: haproxy's own way to one backend, and a client's way through haproxy to all of them."""
    return (
        Way(WAYS[0], _namespace_of(host, BALANCER), f"http://{GATEWAY}:5001/1k"),
        Way(WAYS[1], str(host.external.netns_path), f"http://{host.address}:8080/1k"),
    )


def direct_way(host: Host) -> Way:
    """haproxy's container to a backend's own address: what no change of the proxy touches."""
    client = host.docker()
    try:
        (endpoint, *_) = client.api.inspect_container(BACKEND)["NetworkSettings"]["Networks"].values()
    finally:
        client.close()
    return Way("api directly, to compare", _namespace_of(host, BALANCER), f"http://{endpoint['IPAddress']}:8080/1k")


def losses(result: LoadResult) -> Losses:
    """The sum over all vantage points."""
    return Losses(
        connections=sum(vantage.connections for vantage in result.vantages),
        lost=sum(lost(vantage) for vantage in result.vantages),
        late=sum(vantage.late for vantage in result.vantages),
        longest_ms=max(vantage.longest_ms for vantage in result.vantages),
    )


def lost(vantage: VantageResult) -> int:
    """Requests on new connections that never got their answer."""
    return vantage.refused + vantage.reset + vantage.failed + vantage.never


def _namespace_of(host: Host, container: str) -> str:
    return f"/proc/{host.container_pid(container)}/ns/net"
