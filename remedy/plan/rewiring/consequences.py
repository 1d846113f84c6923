"""What a new address, or the reload that it takes, does besides: what the operator should know before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remedy.facts.model import HaproxyFacts
from remedy.haproxy_cfg.engine_dns import transport_for
from remedy.haproxy_cfg.servers import ServerLine
from remedy.haproxy_cfg.traits import Traits
from remedy.plan.model import PlanWarning


def consequences(haproxy: HaproxyFacts, traits: Traits, lines: Sequence[ServerLine], how: str) -> Iterator[PlanWarning]:
    """Cookies, hashes, stick tables and checks that hang on a server's address, or end with a worker."""
    proxies = {line.proxy for line in lines}
    dynamic = sorted(proxies & set(traits.dynamic_cookie_proxies))
    if dynamic:
        yield PlanWarning(
            code="dynamic-cookies",
            what=f"dynamic cookies change with the servers' addresses: {', '.join(dynamic)}",
            detail="a client that comes with an old cookie is given a server anew, once; and again whenever a "
            "container comes back with another address",
        )
    hashed = sorted(proxies & set(traits.hash_by_address_proxies))
    if hashed:
        yield PlanWarning(
            code="hash-by-address",
            what=f"requests are spread by the servers' addresses: {', '.join(hashed)}",
            detail="hash-key addr or addr-port: with new addresses they are spread anew, once",
        )
    if how != "runtime" and traits.stick_tables_without_peers:
        yield PlanWarning(
            code="stick-tables",
            what=f"stick tables without peers are empty after a reload: {', '.join(traits.stick_tables_without_peers)}",
            detail="every reload of haproxy does that; a `peers` section with the local peer hands them on",
        )
    yield from _asked_by_udp(haproxy, traits, lines)
    fixed = sorted({f"{line.proxy}/{line.name}" for line in lines if "addr" in line.options})
    if fixed:
        yield PlanWarning(
            code="check-address",
            what=f"health checks go on using an address of their own: {', '.join(fixed)}",
            detail="`addr` on the server line is left as it is; the checks take the old way",
        )
    if haproxy.problem is not None:
        yield PlanWarning(
            code="config-not-understood",
            what="not all of haproxy's configuration was understood",
            detail=haproxy.problem,
        )


def _asked_by_udp(haproxy: HaproxyFacts, traits: Traits, lines: Sequence[ServerLine]) -> Iterator[PlanWarning]:
    """Sections that servers name already, and by which this haproxy does not hear of names for ever."""
    if transport_for(haproxy.version) == "udp":
        return
    named = dict.fromkeys(line.options.get("resolvers", "") for line in lines)
    deaf = [name for name in named if traits.asks_engine.get(name) == {"udp"}]
    if deaf:
        yield PlanWarning(
            code="resolvers-by-udp",
            what=f"haproxy {haproxy.version or ''} may hear of no name any more once the engine was restarted".replace(
                "  ", " "
            ),
            detail=f"resolvers {', '.join(deaf)} ask the engine's DNS by UDP, and since 3.2.5 haproxy does not notice "
            "that it has moved; write `nameserver NAME tcp@127.0.0.11:53` there",
        )
