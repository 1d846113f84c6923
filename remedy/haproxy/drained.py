"""Waiting until nobody of haproxy's is connected over a network that is about to be taken away."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from remedy.facts.model import Subnet
from remedy.facts.sockets import read_open_connections
from remedy.haproxy.running import RunningHaproxy
from remedy.host.namespaces import run_in_network_namespace

DRAIN_SECONDS = 30.0
INTERVAL_SECONDS = 0.2
TELL_AFTER_SECONDS = 2.0


def connections_over(running: RunningHaproxy, subnets: Collection[Subnet], ports: Collection[int]) -> int:
    """How many connections to these ports in these subnets are open in haproxy's namespace. Raises OSError."""
    found = run_in_network_namespace(running.pid, lambda: read_open_connections(ports))
    return sum(
        any(connection.remote_address in subnet for subnet in subnets)
        for connection in found
        if connection.remote_port in ports
    )


def wait_until_drained(
    running: RunningHaproxy,
    subnets: Collection[Subnet],
    ports: Collection[int],
    note: Callable[[str], None],
    *,
    seconds: float = DRAIN_SECONDS,
) -> None:
    """Until no such connection is open, or the time is over. Both is told. Raises OSError."""
    began = time.monotonic()
    is_told = False
    while subnets and running.is_alive:
        count = connections_over(running, subnets, ports)
        passed = time.monotonic() - began
        if not count:
            return
        if passed > seconds:
            note(f"{count} of haproxy's connections are still open after {seconds:g} s and end with the network")
            return
        if passed > TELL_AFTER_SECONDS and not is_told:
            note(f"waiting up to {seconds:g} s until {count} of haproxy's connections over the network have ended")
            is_told = True
        time.sleep(INTERVAL_SECONDS)
