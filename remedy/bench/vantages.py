"""From where to where the load goes on a lab host of the topology `operator`: every way that its ports are used."""

from __future__ import annotations

from remedy.bench.load_model import Vantage
from remedy.lab import Host

GATEWAY = "172.17.0.1"
BALANCER = "dev1-haproxy-1"


def loss_vantages(host: Host) -> tuple[Vantage, ...]:
    """The six of the promise: loopback, gateway, container, container to itself, haproxy and backend from outside.

    They share the three backends, so that the ports of one address and server do not run out.
    """
    machine, outside = str(host.netns_path), str(host.external.netns_path)
    return (
        Vantage(name="host -> loopback", netns=machine, address="127.0.0.1", port=5001),
        Vantage(name="host -> gateway", netns=machine, address=GATEWAY, port=5001),
        Vantage(name="container -> gateway", netns=container_netns(host, BALANCER), address=GATEWAY, port=5002),
        Vantage(name="container -> itself", netns=container_netns(host, "dev1-api-3"), address=GATEWAY, port=5003),
        Vantage(name="external -> haproxy", netns=outside, address=host.address, port=8080, asks_again=True),
        Vantage(name="external -> backend", netns=outside, address=host.address, port=5002),
    )


def throughput_vantages(host: Host) -> tuple[Vantage, ...]:
    """The two whose throughput is measured: a container by the gateway, and haproxy from outside."""
    return tuple(one for one in loss_vantages(host) if one.name in ("container -> gateway", "external -> haproxy"))


def container_netns(host: Host, name: str) -> str:
    """The network namespace of a container, as this machine sees it."""
    return f"/proc/{host.container_pid(name)}/ns/net"
