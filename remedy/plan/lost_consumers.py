"""Known consumers that a plan would cut off for good: each is a refusal, with what would save it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from remedy.facts.model import Container, HostFacts
from remedy.paths.consumers import Consumer
from remedy.paths.engine_versions import has_gateway_priority
from remedy.paths.published import PublishedPort
from remedy.plan.model import PathChange, Refusal
from remedy.spec.models import Spec


def lost_consumers(
    spec: Spec, facts: HostFacts, consumers: Sequence[Consumer], paths: Sequence[PathChange]
) -> Iterator[Refusal]:
    """A refusal for each consumer that works today, would not after the plan, and is not accepted by name."""
    accepted = {(entry.from_, entry.to) for entry in spec.accept}
    for consumer, path in zip(consumers, paths, strict=True):
        if path.before == "none" or path.after != "none" or (path.from_, path.to) in accepted:
            continue
        yield Refusal(
            code="consumer-lost",
            what=f"{path.from_} would no longer reach {path.container} at {path.to}",
            why=f"today by {path.before} (known by {path.known_by}); after the change: {path.why}",
            cure=_cure(consumer, facts),
            accepted_by=f'accept: [{{from: "{path.from_}", to: "{path.to}"}}]',
        )


def _cure(consumer: Consumer, facts: HostFacts) -> str:
    if consumer.to.address.version == 6:
        return "let it use an IPv4 address of the host (127.0.0.1 instead of ::1, or of `localhost`)"
    if consumer.container is None:
        return "let it use an address that the engine's DNAT serves, or accept its loss by name"
    return f"put it on the port's network: {_connect_command(consumer.container, consumer.port, facts)}"


def _connect_command(client: Container, port: PublishedPort, facts: HostFacts) -> str:
    """A `docker network connect` that does not move the client's own published ports.

    The engine gives the gateway to the endpoint whose network name sorts first (measured on 20.10 to 28.5), and the
    port mappings move with it; from 28 on --gw-priority settles it.
    """
    name = port.network.name
    network, container = shlex.quote(name), shlex.quote(client.name)  # the engine takes any text as a network's name
    if has_gateway_priority(facts.engine.version_tuple):
        return f"docker network connect --gw-priority -1 {network} {container}"
    moves = client.ports and any(name < endpoint.network_name for endpoint in client.endpoints)
    if not moves or port.network.internal:
        return f"docker network connect {network} {container}"
    return (
        f"{name} in {client.name}'s compose file or `docker run` (not by `docker network connect` while it runs: the "
        "name sorts first, so its published ports would move there and break)"
    )
