"""What an operator should know of a table's size, although it does not forbid it."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.conntrack_sizing import SYSCTL_CONF
from remedy.facts.model import HostFacts
from remedy.host.conntrack_settings import BUCKETS, ESTABLISHED, MAXIMUM, SYSCTL_FILE, TIME_WAIT
from remedy.plan.conntrack.arithmetic import Size, Table
from remedy.plan.model import PlanWarning
from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.size import spell_size

# RFC 5382, REQ-5: a NAT keeps a silent connection for 2 h 4 min at least, so that TCP's keep-alive (2 h) refreshes it.
LEAST_ESTABLISHED = 7440
LONG_CHAIN = 8  # twice what kernels before 5.15 came with: 4 entries a bucket, each hashed twice
MUCH_OF_MEMORY = 0.25


def sizing_warnings(options: ConntrackOptions, size: Size, table: Table, facts: HostFacts) -> Iterator[PlanWarning]:
    """In the order of their weight."""
    yield from _short_established(size)
    yield from _memory(size, table, facts)
    yield from _chains(size, table)
    yield from _the_machines(options, table)
    yield from _set_elsewhere(size, facts)


def _short_established(size: Size) -> Iterator[PlanWarning]:
    seconds = size.established
    if seconds is not None and seconds < LEAST_ESTABLISHED:
        yield PlanWarning(
            code="conntrack-established",
            what=f"a connection that is silent for {seconds} s is forgotten",
            detail="through a published port it hangs from then on, on both sides; TCP's own keep-alive comes after 2 "
            f"hours, so {LEAST_ESTABLISHED} s is the least that RFC 5382 allows",
        )


def _memory(size: Size, table: Table, facts: HostFacts) -> Iterator[PlanWarning]:
    memory = facts.conntrack.sizing.memory_bytes if facts.conntrack.sizing else None
    full = table.bytes_when_full(size.maximum or 0, size.buckets or table.buckets)
    if memory and size.maximum and MUCH_OF_MEMORY * memory < full <= memory:
        yield PlanWarning(
            code="conntrack-memory",
            what=f"a full table would occupy {spell_size(full)} of the {spell_size(memory)} of this machine",
            detail="the kernel's memory cannot be swapped out",
        )


def _chains(size: Size, table: Table) -> Iterator[PlanWarning]:
    maximum, buckets = size.maximum or table.maximum, size.buckets or table.buckets
    if (size.maximum or size.buckets) and 2 * maximum > LONG_CHAIN * buckets:
        yield PlanWarning(
            code="conntrack-chains",
            what=f"{maximum} entries in {buckets} buckets: {2 * maximum // buckets} in a chain when the table is full",
            detail=f"each entry is hashed twice, and looking one up walks its chain; buckets: {table.rounded(maximum)} "
            "makes it two",
        )


def _the_machines(options: ConntrackOptions, table: Table) -> Iterator[PlanWarning]:
    if not table.may_grow and options.connection_rate is not None:
        yield PlanWarning(
            code="conntrack-global",
            what=f"nf_conntrack_max ({table.maximum}) is the machine's, and cannot be set from this network namespace",
            detail="the size rests on it: should the machine's change, plan again",
        )


def _set_elsewhere(size: Size, facts: HostFacts) -> Iterator[PlanWarning]:
    """Lines that come after remedy's at boot, and say something else."""
    sizing = facts.conntrack.sizing
    wanted = {TIME_WAIT: size.time_wait, ESTABLISHED: size.established, BUCKETS: size.buckets, MAXIMUM: size.maximum}
    for line in sizing.set_by if sizing else ():
        value = wanted.get(line.name)
        if value is not None and line.value != str(value) and _is_later(line.path):
            yield PlanWarning(
                code="conntrack-set-elsewhere",
                what=f"{line.path}:{line.line} sets {line.name} to {line.value}",
                detail="it is read after remedy's file, at boot or by `sysctl --system`; take the line out",
            )


def _is_later(path: str) -> bool:
    name = path.rpartition("/")[2]
    return path == SYSCTL_CONF or name > SYSCTL_FILE.rpartition("/")[2]
