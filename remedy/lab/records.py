"""What is known of a lab host on disk: its record, written before anything of the host exists.

The record names an owner while a process is responsible for the host (it is making it, or a test uses it). When
that process has gone without taking the host down, the host is an orphan and `prune` removes it. A host that
`remedy lab up` has finished belongs to the operator: no owner.
"""

from __future__ import annotations

import os
import time
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from remedy.errors import LabError
from remedy.lab.layout import Layout
from remedy.lab.topology import Topology

_RECORD = "host.json"
_Kind = TypeVar("_Kind", bound=BaseModel)

# A documentation-like private range; every lab has it to itself, since no lab is routed to the machine.
LAN4 = IPv4Interface("10.98.0.0/24").network
LAN6 = IPv6Interface("fd98::/64").network
EXTERNAL_NUMBER = 1
FIRST_HOST_NUMBER = 2
LAST_HOST_NUMBER = 199  # 200 and above are free for a topology's extra addresses


class Owner(BaseModel):
    """A process, named so that a recycled pid is not taken for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pid: int
    started: int  # clock ticks after boot, field 22 of /proc/PID/stat
    boot_id: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return self.boot_id == boot_id() and started_ticks(self.pid) == self.started


class HostClaim(BaseModel):
    """What a host takes of its lab, and for whom. `number` is the last part of its addresses.

    Also read of a host that another version of remedy has made, of whose record this one knows no more: its number is
    taken all the same, and it is not removed under its owner.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str
    number: int
    owner: Owner | None
    leaving: bool = False

    @property
    def address4(self) -> IPv4Interface:
        """The address of eth0 on the lab's LAN."""
        return IPv4Interface((int(LAN4.network_address) + self.number, LAN4.prefixlen))

    @property
    def address6(self) -> IPv6Interface:
        """The IPv6 address of eth0 on the lab's LAN."""
        return IPv6Interface((int(LAN6.network_address) + self.number, LAN6.prefixlen))

    @property
    def is_orphan(self) -> bool:
        """Nobody is responsible for it any more, or its removal was interrupted."""
        return self.leaving or (self.owner is not None and not self.owner.is_alive)


class HostRecord(HostClaim):
    """One host, with all that is needed to start it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    engine: str
    firewall: str
    rootfs: Path
    engine_directory: Path | None = None
    topology: Topology
    created: float


def external_address4() -> IPv4Interface:
    """The external machine, which is also the hosts' default gateway."""
    return IPv4Interface((int(LAN4.network_address) + EXTERNAL_NUMBER, LAN4.prefixlen))


def external_address6() -> IPv6Interface:
    """The IPv6 address of the external machine."""
    return IPv6Interface((int(LAN6.network_address) + EXTERNAL_NUMBER, LAN6.prefixlen))


def write_record(layout: Layout, record: HostRecord) -> None:
    """Write or replace a record; on disk when this returns, whole or not at all."""
    path = layout.host_directory(record.name) / _RECORD
    draft = path.with_suffix(".new")
    with draft.open("w") as stream:
        stream.write(record.model_dump_json(indent=2))
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def read_record(layout: Layout, name: str) -> HostRecord | None:
    """The record, or None when there is none that this version can read (the host was hardly begun, perhaps)."""
    return _read(layout, name, HostRecord)


def read_claim(layout: Layout, name: str) -> HostClaim | None:
    """What a host has taken, or None when that was never written (it was hardly begun)."""
    return _read(layout, name, HostClaim)


def _read(layout: Layout, name: str, kind: type[_Kind]) -> _Kind | None:
    try:
        return kind.model_validate_json((layout.host_directory(name) / _RECORD).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def get_record(layout: Layout, name: str) -> HostRecord:
    """The record of a host that has to exist, else LabError."""
    record = read_record(layout, name)
    if record is None:
        known = ", ".join(host_names(layout)) or "none"
        raise LabError(
            f"there is no lab host {name!r}", why=f"hosts of {layout.directory}: {known}", next_step="remedy lab up"
        )
    return record


def host_names(layout: Layout) -> list[str]:
    """The names of all hosts of a lab, whole or not, in order."""
    try:
        return sorted(entry.name for entry in layout.hosts.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []


def free_number(layout: Layout) -> int:
    """The lowest number that no host of the lab has. Call it with the lab's lock held."""
    claims = [read_claim(layout, name) for name in host_names(layout)]
    taken = {claim.number for claim in claims if claim is not None}
    for number in range(FIRST_HOST_NUMBER, LAST_HOST_NUMBER + 1):
        if number not in taken:
            return number
    raise LabError("the lab is full", why=f"all addresses of {LAN4} are taken", next_step="remedy lab down --all")


def this_process() -> Owner:
    """The calling process as an owner."""
    pid = os.getpid()
    return Owner(pid=pid, started=started_ticks(pid) or 0, boot_id=boot_id())


def started_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks after boot; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may contain blanks and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def boot_id() -> str:
    """Differs after each boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def uptime_seconds(pid: int) -> float | None:
    """For how long a process has been running."""
    ticks = started_ticks(pid)
    if ticks is None:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
