"""Deleting one flow of the conntrack table, over ctnetlink: `conntrack` is rarely installed."""

from __future__ import annotations

import errno
import os
import socket
import struct

from remedy.facts.conntrack import TranslatedFlow
from remedy.facts.model import Address
from remedy.firewall.netlink import attribute

_NETLINK_NETFILTER = 12
_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_REQUEST_ACKNOWLEDGED = 0x5
_TIMEOUT_SECONDS = 2.0
_HEADER = struct.Struct("=IHHII")
# linux/netfilter/nfnetlink_conntrack.h
_TUPLE_ORIGINAL, _TUPLE_IP, _TUPLE_PROTOCOL = 1, 1, 2
_PROTOCOL_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3


def delete_flow(flow: TranslatedFlow) -> None:
    """Forget the flow, in the calling thread's network namespace; one that is gone is none to delete.

    Raises OSError as the kernel answers.
    """
    body = _nfgenmsg(flow.source) + attribute(_TUPLE_ORIGINAL, _tuple(flow), nested=True)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as channel:
        channel.settimeout(_TIMEOUT_SECONDS)
        channel.send(_HEADER.pack(_HEADER.size + len(body), _DELETE, _REQUEST_ACKNOWLEDGED, 1, 0) + body)
        number = -struct.unpack_from("=i", channel.recv(4096), _HEADER.size)[0]
    if number not in (0, errno.ENOENT):
        raise OSError(number, os.strerror(number))


def _nfgenmsg(address: Address) -> bytes:
    return struct.pack("!BBH", socket.AF_INET if address.version == 4 else socket.AF_INET6, 0, 0)


def _tuple(flow: TranslatedFlow) -> bytes:
    source = 1 if flow.source.version == 4 else 3  # CTA_IP_V4_SRC, CTA_IP_V6_SRC; the destination follows
    addresses = attribute(source, flow.source.packed) + attribute(source + 1, flow.destination.packed)
    ports = (
        attribute(_PROTOCOL_NUMBER, bytes([flow.protocol]))
        + attribute(_SOURCE_PORT, struct.pack("!H", flow.source_port))
        + attribute(_DESTINATION_PORT, struct.pack("!H", flow.destination_port))
    )
    return attribute(_TUPLE_IP, addresses, nested=True) + attribute(_TUPLE_PROTOCOL, ports, nested=True)
