"""The host's conntrack table, and what its size rests on."""

from __future__ import annotations

from remedy.facts.model.values import Address
from remedy.frozen import FrozenWhenUsed as Frozen


class ConntrackEntry(Frozen):
    """Tracked flows: the original tuple and the reply's. Those that differ only in the client's port are one.

    count says how many; the client's port is that of the first.
    """

    protocol: str
    source: Address
    source_port: int | None
    destination: Address
    destination_port: int | None
    reply_source: Address
    reply_source_port: int | None
    reply_destination: Address
    reply_destination_port: int | None
    state: str | None
    unreplied: bool = False
    count: int = 1


class ConntrackLosses(Frozen):
    """What the table refused since the namespace was made, all processors together (/proc/net/stat/nf_conntrack).

    drop: new flows dropped because the table was full; early_drop: entries thrown out to make room; insert_failed:
    packets dropped because their entry could not be added, mostly two clients that were given the same port.
    """

    drop: int
    early_drop: int
    insert_failed: int


class SettingLine(Frozen):
    """A line of somebody's sysctl.d file that sets a sysctl at boot."""

    name: str
    value: str
    path: str
    line: int


class KeptFile(Frozen):
    """A file of remedy's own, as it lies there now. raw None: there is none."""

    path: str
    raw: bytes | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


class ConntrackSizing(Frozen):
    """What the size of the conntrack table rests on.

    writable: the settings that root may change from this network namespace; nf_conntrack_max and the buckets are the
    machine's, and read-only in every namespace but its own. bytes_per_entry: from /proc/slabinfo, None where only root
    may read it. bucket_step: the kernel rounds the buckets up to a multiple of it. set_by: lines of other files, in the
    order in which they count at boot. own_files: what remedy keeps its values in.
    """

    writable: tuple[str, ...]
    bytes_per_entry: int | None
    bucket_step: int
    memory_bytes: int | None
    set_by: tuple[SettingLine, ...] = ()
    own_files: tuple[KeptFile, ...] = ()


class ConntrackFacts(Frozen):
    """The conntrack table: how full it is, and the entries that involve a published port.

    time_wait: entries of TCP connections that have ended, in the whole table; each stays for the time_wait timeout.
    sizing None: not read (facts of an older remedy, or of another host).
    """

    count: int | None
    maximum: int | None
    buckets: int | None
    entries: tuple[ConntrackEntry, ...]
    entries_complete: bool  # False where there were more than the reader keeps
    losses: ConntrackLosses | None = None
    time_wait: int | None = None
    sizing: ConntrackSizing | None = None
