"""Addresses, and what the engine and the kernel call the protocols."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Subnet = IPv4Network | IPv6Network


class Protocol(StrEnum):
    """Transport protocols that Docker publishes."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"
