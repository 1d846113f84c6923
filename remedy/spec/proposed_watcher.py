"""Whether `remedy init` proposes `watch`."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.model import HostFacts
from remedy.spec.discovery import PROJECT_LABEL
from remedy.spec.models import Spec

SHOWN = 4


def why_watched(facts: HostFacts, spec: Spec) -> tuple[str, ...]:
    """What in this spec has to follow the containers; () where nothing does."""
    return tuple(_reasons(facts, spec))


def _reasons(facts: HostFacts, spec: Spec) -> Iterator[str]:
    if spec.remedies.hairpin_options is not None:
        yield "hairpin's rules name container addresses; the watcher (a systemd service) follows the containers."
    by_hand = tuple(_made_by_hand(facts, spec)) if spec.remedies.user_network else ()
    if by_hand:
        more = f" and {len(by_hand) - SHOWN} more" if len(by_hand) > SHOWN else ""
        yield (
            f"Made again, {', '.join(by_hand[:SHOWN])}{more} would be without the network, as no compose file keeps it "
            "there; the watcher (a systemd service) connects it."
        )


def _made_by_hand(facts: HostFacts, spec: Spec) -> Iterator[str]:
    """The load balancer and backends that are of no compose project."""
    named = {name for backend in spec.backends for name in backend.containers or ()} | {str(spec.load_balancer)}
    for container in facts.containers:
        if container.name in named and PROJECT_LABEL not in container.labels:
            yield container.name
