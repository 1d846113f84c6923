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
        channel = nftables_channel()
    except OSError:
        return False
    threading.Thread(target=_follow, args=(channel, inbox), name="remedy-firewall-events", daemon=True).start()
    return True


def nftables_channel() -> socket.socket:
    """A socket on which the kernel tells each change of nf_tables. Raises OSError."""
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    channel.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))
    return channel


def wait_for_change(channel: socket.socket, settle: float = 0.0) -> None:
    """Return once something changed; what changed before that is told by it, too.

    settle: seconds in which more may come. They are waited for before the word is given: a change that comes after it
    is told again.
    """
    with suppress(OSError):  # ENOBUFS: more changed than could be told, which is a change too
        channel.recv(_BUFFER)
    time.sleep(settle)
    _drop_the_rest(channel)


def _follow(channel: socket.socket, inbox: Inbox) -> None:
    while True:
        wait_for_change(channel, TOLD_AT_MOST_EVERY_SECONDS)
        inbox.put(RulesTouched())


def _drop_the_rest(channel: socket.socket) -> None:
    """A transaction is many messages, and one is enough."""
    while True:
        try:
            channel.recv(_BUFFER, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            continue
