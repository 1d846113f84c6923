"""Deleting one flow of the conntrack table, over ctnetlink: `conntrack` is rarely installed."""

from __future__ import annotations

import errno
import os
import socket
import struct

from remedy.facts.flows import Question
from remedy.facts.netlink import NETLINK_NETFILTER

_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_REQUEST_ACKNOWLEDGED = 0x5
_TIMEOUT_SECONDS = 2.0
_HEADER = struct.Struct("=IHHII")


def delete_flow(question: Question) -> None:
    """Forget a flow of the calling thread's network namespace; one that is gone is none to delete.

    Raises OSError as the kernel answers.
    """
    body = question.packed()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as channel:
        channel.settimeout(_TIMEOUT_SECONDS)
        channel.send(_HEADER.pack(_HEADER.size + len(body), _DELETE, _REQUEST_ACKNOWLEDGED, 1, 0) + body)
        number = -struct.unpack_from("=i", channel.recv(4096), _HEADER.size)[0]
    if number not in (0, errno.ENOENT):
        raise OSError(number, os.strerror(number))
