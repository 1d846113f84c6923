"""From published ports to the rules that serve them: bridging (for a restart) and hairpin (to stay)."""

from __future__ import annotations

from collections.abc import Iterable

from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Redirect, Ruleset
from remedy.paths.published import PublishedPort
from remedy.spec.models import HairpinOptions


def engine_bridges(facts: HostFacts) -> tuple[str, ...]:
    """The host's interfaces of all the engine's bridge networks, sorted."""
    return tuple(sorted({n.bridge for n in facts.networks if n.driver == "bridge" and n.bridge}))


def bridging_ruleset(facts: HostFacts, ports: Iterable[PublishedPort]) -> Ruleset:
    """Rules that carry every path which a restart of the engine interrupts, for as long as it lasts."""
    # One that is published on [::1] alone serves nobody without docker-proxy, and nothing can carry it meanwhile.
    redirects = tuple(r for r in (_bridging(port) for port in ports if port.is_nat) if r.from_host or r.from_loopback)
    guarded = tuple(sorted({redirect.bridge for redirect in redirects}))
    return Ruleset(
        name="bridging",
        redirects=redirects,
        engine_bridges=engine_bridges(facts),
        guard_localnet=guarded,
        forward_guard=True,
    )


def _bridging(port: PublishedPort) -> Redirect:
    on_loopback_only = port.host_address is not None and port.host_address.is_loopback
    return _redirect(port).model_copy(
        update={
            "from_own_bridge": not on_loopback_only,
            "from_elsewhere": not on_loopback_only,
            "from_host": not on_loopback_only,
            "from_loopback": port.host_family == 4 and (port.host_address is None or on_loopback_only),
        }
    )


def hairpin_ruleset(facts: HostFacts, ports: Iterable[PublishedPort], options: HairpinOptions) -> Ruleset:
    """Lasting rules that take containers on a backend's own bridge (and loopback, if asked) off docker-proxy."""
    redirects = []
    for port in ports:
        on_loopback_only = port.host_address is not None and port.host_address.is_loopback
        redirect = _redirect(port).model_copy(
            update={
                "from_own_bridge": not on_loopback_only and not port.is_closed_to_neighbours,
                "from_loopback": options.loopback
                and port.host_family == 4
                and (port.host_address is None or on_loopback_only),
            }
        )
        if port.is_nat and (redirect.from_own_bridge or redirect.from_loopback):
            redirects.append(redirect)
    guarded = tuple(sorted({r.bridge for r in redirects})) if options.loopback else ()
    return Ruleset(
        name="hairpin",
        redirects=tuple(redirects),
        engine_bridges=engine_bridges(facts),
        guard_localnet=guarded,
    )


def _redirect(port: PublishedPort) -> Redirect:
    return Redirect(
        protocol=port.protocol,
        address=port.host_address,
        port=port.port,
        to_address=port.to_address,
        to_port=port.to_port,
        bridge=port.bridge,
        subnet=port.subnet,
        container=port.container.name,
    )
