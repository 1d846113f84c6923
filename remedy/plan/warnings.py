"""What the operator should know before a change, although it does not forbid it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from ipaddress import IPv6Address, ip_address

from remedy.facts.model import Address, HostFacts, Protocol
from remedy.paths.clients import EXTERNAL, HOST
from remedy.paths.published import PublishedPort
from remedy.plan.model import PathChange, PlanWarning
from remedy.plan.outlook import Outlook
from remedy.spec.models import HostPort, Spec

SHOWN = 6


def proxy_off_warnings(
    facts: HostFacts, ports: Sequence[PublishedPort], paths: Sequence[PathChange], outlook: Outlook
) -> Iterator[PlanWarning]:
    """Consumers that are possible but not known, and what changes for those that stay."""
    yield from _possible_ipv6(ports, outlook)
    yield from _possible_other_networks(facts, ports, paths, outlook)
    yield from _possible_neighbours(ports)
    yield from _source_changes(ports, paths)
    yield from _conntrack_unread(facts)
    yield from _unresolved_servers(facts, ports)
    yield _watched(facts)


def accept_warnings(spec: Spec, facts: HostFacts) -> Iterator[PlanWarning]:
    """Whose loss is accepted, and who is not on this host: perhaps a slip of the pen, and then nothing is accepted."""
    names = [container.name for container in facts.containers]
    for index, entry in enumerate(spec.accept):
        if entry.from_ in (HOST, EXTERNAL, *names):
            continue
        near = get_close_matches(entry.from_, names, n=1)
        yield PlanWarning(
            code="accept-unknown",
            what=f"accept[{index}] names {entry.from_}, and no container is called so",
            detail=f"did you mean {near[0]}?" if near else "it accepts nobody's loss",
        )


def file_warnings(facts: HostFacts) -> Iterator[PlanWarning]:
    """A restart makes everything in daemon.json take effect, not only what remedy writes."""
    changed, started = facts.daemon_json.mtime, facts.engine.started_at
    if changed is not None and started is not None and changed > started:
        yield PlanWarning(
            code="daemon-json-edited",
            what=f"{facts.daemon_json.path} was changed after the engine started",
            detail="the restart makes whatever was changed take effect too",
        )


def unknown_path_warnings(paths: Sequence[PathChange]) -> Iterator[PlanWarning]:
    """Known consumers whose way after the change cannot be told from the facts; apply's probes will tell."""
    for path in paths:
        if path.after == "unknown":
            yield PlanWarning(
                code="path-unknown",
                what=f"how {path.from_} will reach {path.to} cannot be told",
                detail=path.why,
            )


def _possible_ipv6(ports: Sequence[PublishedPort], outlook: Outlook) -> Iterator[PlanWarning]:
    six = [port for port in ports if port.host_family == 6 and _ends_at_loopback(port, outlook)]
    untranslated = sorted({port.port for port in six if not port.is_nat})
    if untranslated:
        yield PlanWarning(
            code="possible-ipv6",
            what=f"published on [::] for containers without IPv6, or without ip6tables: {_some(untranslated)}",
            detail="without docker-proxy nobody reaches these at [::1] or at the host's IPv6 addresses; nobody is "
            "known to (sockets, conntrack, haproxy's servers, probes). A name like localhost may mean ::1 first",
        )
    on_loopback = sorted({p.port for p in six if p.is_nat and (p.host_address is None or p.host_address.is_loopback)})
    if on_loopback:
        yield PlanWarning(
            code="possible-ipv6-loopback",
            what=f"reachable at [::1] only by docker-proxy: {_some(on_loopback)}",
            detail="the kernel has no route_localnet for ::1, so without docker-proxy nobody reaches these ports "
            "there; nobody is known to",
        )


def _ends_at_loopback(port: PublishedPort, outlook: Outlook) -> bool:
    """Whether [::1] (or the one address that an IPv6 port is bound to) stops serving it."""
    address = port.host_address or IPv6Address("::1")
    return outlook.ends("host", HostPort(address=address, port=port.port, protocol=port.protocol))


def _possible_other_networks(
    facts: HostFacts, ports: Sequence[PublishedPort], paths: Sequence[PathChange], outlook: Outlook
) -> Iterator[PlanWarning]:
    known = {path.from_ for path in paths if path.after == "none"}
    # One port for each network, one client for each combination of networks: the others fare alike.
    samples = {port.network.id: port for port in ports if port.host_family == 4 and _address_for(port) is not None}
    fate: dict[frozenset[str], bool] = {}
    strangers = []
    for container in facts.containers:
        networks = frozenset(endpoint.network_id for endpoint in container.endpoints)
        if not container.is_running or container.name in known or not networks:
            continue
        if networks not in fate:
            others = (port for network, port in samples.items() if network not in networks)
            fate[networks] = any(_ends_for(container.name, port, outlook) for port in others)
        if fate[networks]:
            strangers.append(container.name)
    strangers.sort()
    if strangers:
        yield PlanWarning(
            code="possible-cross-network",
            what=f"containers that are not on the network of every published port: {_some(strangers)}",
            detail="without docker-proxy they no longer reach the others' ports at the host's addresses (isolation of "
            "networks before engine 29); none of these is known to do so now",
        )


def _address_for(port: PublishedPort) -> Address | None:
    gateways = (gateway for gateway in port.network.gateways if gateway.version == 4)
    return port.host_address or next(gateways, None)


def _ends_for(name: str, port: PublishedPort, outlook: Outlook) -> bool:
    address = _address_for(port)
    if address is None:
        return False
    return outlook.ends(f"container:{name}", HostPort(address=address, port=port.port, protocol=port.protocol))


def _possible_neighbours(ports: Sequence[PublishedPort]) -> Iterator[PlanWarning]:
    closed = sorted({port.network.name for port in ports if port.is_closed_to_neighbours and port.is_nat})
    if closed:
        yield PlanWarning(
            code="possible-neighbours",
            what=f"networks whose containers may not talk to each other (icc): {_some(closed)}",
            detail="by docker-proxy they reach each other's published ports all the same, and themselves; without it "
            "they no longer do; those that are known to do so are refused",
        )


def _source_changes(ports: Sequence[PublishedPort], paths: Sequence[PathChange]) -> Iterator[PlanWarning]:
    changed = [
        f"{path.from_} -> {path.to}"
        for path in paths
        if path.source_before and path.source_after and path.source_before != path.source_after
    ]
    if changed:
        yield PlanWarning(
            code="source-address",
            what=f"the server sees another source address for: {_some(changed)}",
            detail="docker-proxy and masquerade show the bridge's gateway; bridged DNAT shows the client container",
        )
    datagrams = sorted({f"{p.port}/{p.protocol}" for p in ports if p.protocol is not Protocol.TCP})
    if datagrams:
        yield PlanWarning(
            code="source-address-udp",
            what=f"UDP and SCTP ports change hands: {_some(datagrams)}",
            detail="a flow that is open keeps its conntrack entry and path until it pauses; its server may then see "
            "another source address",
        )


def _conntrack_unread(facts: HostFacts) -> Iterator[PlanWarning]:
    for unread in facts.unread:
        if unread.item.startswith(("conntrack", "haproxy", "observed")):
            yield PlanWarning(
                code="evidence-missing",
                what=f"{unread.item} could not be read, so consumers may be missing from this plan",
                detail=unread.reason,
            )


def _watched(facts: HostFacts) -> PlanWarning:
    """For how long somebody looked: that nobody else was seen is worth as much as this time."""
    observed = facts.observed
    if observed is None or observed.seconds < 1:
        return PlanWarning(
            code="not-watched",
            what="consumers are known from one look at this host; nobody has watched it",
            detail="who connects once an hour is seen by: remedy doctor --observe 1h",
        )
    ended = max((watch.ended for watch in observed.watches), default=None)
    last = "" if ended is None else f", last at {ended:%Y-%m-%d %H:%M:%S} UTC"
    return PlanWarning(
        code="watched",
        what=f"consumers are known from one look and {spoken(observed.seconds)} of watching{last}",
        detail="who connects more rarely than that may be missing; remedy doctor --observe adds to it",
    )


def spoken(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _unresolved_servers(facts: HostFacts, ports: Sequence[PublishedPort]) -> Iterator[PlanWarning]:
    """Servers by a name that only a resolver knows: it may well be one of this host's."""
    published = {port.port for port in ports}
    endpoints = [endpoint for container in facts.containers for endpoint in container.endpoints]
    known = {"localhost", *(c.name for c in facts.containers)}
    known.update(name for endpoint in endpoints for name in (*endpoint.aliases, *endpoint.dns_names))
    unresolved = [
        f"{server.host}:{server.port} ({server.file}:{server.line})"
        for haproxy in facts.haproxies
        for server in haproxy.servers
        if server.port in published
        and server.host not in known
        and not server.addresses
        and not _is_number(server.host)
    ]
    if unresolved:
        yield PlanWarning(
            code="evidence-missing",
            what=f"haproxy has servers by names that remedy does not resolve: {_some(unresolved)}",
            detail="should such a name mean this host, it uses a published port; a probe in remedy.yaml by the "
            "address that is meant makes it known",
        )


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _some(items: Sequence[object]) -> str:
    shown = ", ".join(str(item) for item in items[:SHOWN])
    return shown + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")
