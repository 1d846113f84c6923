"""The kernel's word that nf_tables changed: a multicast group of netfilter's netlink, heard in a thread.

Only that something changed is taken from it; what is on the host is read then. So `nft flush ruleset`, a firewall that
is loaded again, and a deleted rule are noticed within a moment and without a process. iptables-legacy has no such
group: there the loop looks at every tick.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from remedy.watch.inbox import Inbox, RulesTouched

_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
_BUFFER = 1 << 16
TOLD_AT_MOST_EVERY_SECONDS = 0.05


def follow_firewall(inbox: Inbox) -> bool:
    """Start the thread. Whether the kernel has such a group, and lets us hear it."""
    try:
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        channel.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))
    except OSError:
        return False
    threading.Thread(target=_follow, args=(channel, inbox), name="remedy-firewall-events", daemon=True).start()
    return True


def _follow(channel: socket.socket, inbox: Inbox) -> None:
    while True:
        with suppress(OSError):  # ENOBUFS: more changed than could be told, which is a change too
            channel.recv(_BUFFER)
        inbox.put(RulesTouched())
        time.sleep(TOLD_AT_MOST_EVERY_SECONDS)
        _drop_the_rest(channel)


def _drop_the_rest(channel: socket.socket) -> None:
    """A transaction is many messages, and one is enough."""
    while True:
        try:
            channel.recv(_BUFFER, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            continue
