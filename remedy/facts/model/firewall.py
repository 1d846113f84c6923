"""The host's rules, as their programs print them."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from remedy.frozen import FrozenWhenUsed as Frozen


class FirewallBackend(StrEnum):
    """How the engine writes its rules on this host, and so how remedy writes its own."""

    IPTABLES_LEGACY = "iptables-legacy"
    IPTABLES_NFT = "iptables-nft"
    NFTABLES = "nftables"  # engine 29's own nftables tables


class IptablesTables(Frozen):
    """iptables-save text of one family, as the engine's variant prints it, without counters.

    command is the program that read it. Only tables that exist already were read (promise 3): reading
    an absent legacy table would create it.
    """

    family: Literal[4, 6]
    variant: Literal["legacy", "nft"]
    command: str
    text: str


class IpSet(Frozen):
    """A set of the kernel's ip_set, as `ipset save` prints it.

    members: each `add` line's member with its options ("10.0.0.0/8 nomatch"), of a list:set the sets' names.
    """

    name: str
    kind: str  # hash:ip, hash:net,port, list:set ...
    options: str = ""  # "family inet hashsize 1024 maxelem 65536"
    members: tuple[str, ...] = ()


class FirewallFacts(Frozen):
    """The rules of the host. backend is the engine's; the other variant is read too where it has rules.

    nft_tables: names ("ip docker-bridges") of all nft tables; nft_json: `nft -j list table` of those that
    iptables-save does not print (the engine's own, remedy's, and foreign ones), keyed by "family name".
    ipsets: those that the rules in `tables` match against.
    """

    backend: FirewallBackend
    backend_evidence: str
    iptables_version: str | None
    nft_version: str | None
    tables: tuple[IptablesTables, ...]
    nft_tables: tuple[str, ...]
    nft_json: dict[str, list[object]] = Field(default_factory=dict)
    ipsets: tuple[IpSet, ...] = ()
    firewalld_active: bool = False
    ufw_active: bool = False
