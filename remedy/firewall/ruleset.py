"""What remedy wants of the firewall, as plain data. No iptables, no nft in here.

A `Ruleset` is a value: it is planned, shown, compared and then written in one transaction by whichever
writer fits the host. It carries everything that its writer and its removal need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from remedy.facts.model import Address, Protocol, Subnet
from remedy.frozen import Frozen

RulesetName = Literal["hairpin", "bridging", "notrack"]


class Redirect(Frozen):
    """DNAT of one published port to its container, ahead of the engine's own rules.

    address: the host address that clients connect to; None is every address local to the host (of the
    family of to_address). The from_* flags say whose connections are redirected:
    from_own_bridge: containers on `bridge`, the container itself included (its source becomes the
        gateway's by masquerade, as it was with docker-proxy, so that the reply comes back through the host);
    from_elsewhere: packets that arrive on an interface which is none of the engine's bridges (other machines);
    from_host: the host's own connections to its non-loopback addresses;
    from_loopback: the host's own connections to 127.0.0.0/8 (IPv4 only: the kernel has no route_localnet
        for ::1), masqueraded.
    Containers on *other* bridges are never redirected: before engine 29 the isolation chains would drop them.
    container is for the comment and the plan only.
    """

    protocol: Protocol
    address: Address | None
    port: int = Field(ge=1, le=65535)
    to_address: Address
    to_port: int = Field(ge=1, le=65535)
    bridge: str
    subnet: Subnet
    container: str
    from_own_bridge: bool = True
    from_elsewhere: bool = False
    from_host: bool = False
    from_loopback: bool = False

    @property
    def family(self) -> Literal[4, 6]:
        """4 or 6, of the address that the connection is redirected to."""
        return 4 if self.to_address.version == 4 else 6

    @model_validator(mode="after")
    def _is_of_one_family(self) -> Self:
        addresses = (self.to_address, self.subnet, *((self.address,) if self.address is not None else ()))
        if len({address.version for address in addresses}) > 1:
            raise ValueError("DNAT cannot lead from one address family to the other")
        if self.from_loopback and self.family == 6:
            raise ValueError("connections to ::1 cannot be redirected: the kernel has no route_localnet for IPv6")
        return self

    def claims(self) -> Iterator[tuple[str, str, Protocol, int]]:
        """Whose connections to what it takes: (from where, address, protocol, port), each once per ruleset."""
        origins = {
            f"bridge {self.bridge}": self.from_own_bridge,
            "elsewhere": self.from_elsewhere,
            "host": self.from_host,
            "loopback": self.from_loopback,
        }
        address = f"any IPv{self.family} address" if self.address is None else str(self.address)
        for origin, is_wanted in origins.items():
            if is_wanted:
                yield origin, address, self.protocol, self.port


class UntrackedPair(Frozen):
    """One client's flows to one port of one server, on one bridge, that conntrack is not to see: both directions.

    The bridge is part of the key: once the network is gone, its addresses may be somebody else's on another.
    client, server: the containers' names; network: its name. By these the addresses are found again when a container
    has others.
    """

    protocol: Protocol
    client_address: Address
    server_address: Address
    server_port: int = Field(ge=1, le=65535)
    bridge: str
    client: str
    server: str
    network: str

    @property
    def family(self) -> Literal[4, 6]:
        """4 or 6."""
        return 4 if self.server_address.version == 4 else 6

    @model_validator(mode="after")
    def _is_of_one_family(self) -> Self:
        if self.client_address.version != self.server_address.version:
            raise ValueError("a flow has both its ends in one address family")
        return self


class Ruleset(Frozen):
    """One named, self-contained set of remedy's rules.

    engine_bridges: every bridge of the engine (what `from_elsewhere` excludes).
    guard_localnet: bridges on which route_localnet is (to be) 1; packets that arrive there for 127.0.0.0/8 and
        are not replies are dropped, so that neighbours cannot reach the host's loopback services.
    untracked: flows that conntrack is not to see.
    all_but_loopback: nor anything else of IPv4 that does not pass the loopback interface: for a namespace in which
        nothing but the engine's DNS, on 127.0.0.11, needs connections (see inside).
    forward_guard: accept what the ruleset is about from an own chain ahead of the engine's jumps in filter FORWARD,
        after DOCKER-USER had its say. The redirected flows (ctstate DNAT, address and port) and what is
        ESTABLISHED,RELATED: needed while the engine restarts, as its per-port accepts are deleted and made again
        (28.x: after the drop). The untracked pairs: needed where the engine accepts only what is ESTABLISHED.
    accept_ahead: accept the untracked packets of the untracked pairs' bridges ahead of the engine's rules, where it
        would accept them anyway: for speed alone, so it is no drift when the engine has put its own ahead since.
    """

    name: RulesetName
    redirects: tuple[Redirect, ...] = ()
    engine_bridges: tuple[str, ...] = ()
    untracked: tuple[UntrackedPair, ...] = ()
    all_but_loopback: bool = False
    guard_localnet: tuple[str, ...] = ()
    forward_guard: bool = False
    accept_ahead: bool = False  # not in records of earlier versions

    @property
    def is_empty(self) -> bool:
        """Whether it wants nothing of the firewall."""
        return not self.redirects and not self.untracked and not self.all_but_loopback

    @property
    def accepts_in_forward(self) -> bool:
        """Whether it has a chain in filter FORWARD, needed or for speed."""
        return self.forward_guard or self.accept_ahead

    @property
    def families(self) -> frozenset[Literal[4, 6]]:
        """The address families that its rules are of."""
        return frozenset({each.family for each in self.redirects} | {pair.family for pair in self.untracked})

    @model_validator(mode="after")
    def _claims_nothing_twice(self) -> Self:
        seen: set[tuple[str, str, Protocol, int]] = set()
        for claim in (claim for redirect in self.redirects for claim in redirect.claims()):
            if claim in seen:
                raise ValueError("two redirects for {3}/{2} at {1} from {0}".format(*claim))
            seen.add(claim)
        return self
