"""From what the table has to carry to the kernel's numbers, with the sums as a person would do them on paper.

A connection that has ended keeps its entry for the time_wait timeout, so short connections hold rate x timeout
entries (the rest, those that are open, are few beside them). The table is made for twice that: one that is half full
takes a burst. A table that would be larger than the memory allows, or than this namespace may make it, is made to do by
a shorter timeout.
"""

from __future__ import annotations

from dataclasses import dataclass

from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.size import spell_size

HEADROOM = 2
# A connection that ended by RST keeps its entry that long (nf_conntrack_tcp_timeout_close): no less for a FIN.
LEAST_TIME_WAIT = 10
BYTES_PER_BUCKET = 8  # a pointer
# Of nf_conntrack objects on 64 bits since 4.7: where /proc/slabinfo may not be read.
USUAL_BYTES_PER_ENTRY = 256


# What the kernel begins with: the time_wait that counts where remedy itself has shortened it.
USUAL_TIME_WAIT = 120
LEAST_ENTRIES = 1024


@dataclass(frozen=True, slots=True)
class Table:
    """What is there: the table's settings now, and what bounds them.

    may_grow: nf_conntrack_max is this namespace's to write. bucket_step: buckets are multiples of it. held_time_wait:
    what remedy's own file keeps time_wait at; None: it is not remedy's.
    """

    maximum: int
    buckets: int
    time_wait: int
    may_grow: bool
    bytes_per_entry: int
    bucket_step: int
    held_time_wait: int | None = None

    @property
    def bytes_with_bucket(self) -> int:
        """An entry and a bucket: as many buckets as entries, so that a chain has two of them when the table is full."""
        return self.bytes_per_entry + BYTES_PER_BUCKET

    @property
    def time_wait_without_remedy(self) -> int:
        """What the sums begin with: else a timeout that was shortened once would never be longer again."""
        return self.time_wait if self.held_time_wait is None else max(self.held_time_wait, USUAL_TIME_WAIT)

    def rounded(self, entries: int) -> int:
        """Up to whole pages of buckets, as the kernel does."""
        return -(-entries // self.bucket_step) * self.bucket_step

    def bytes_when_full(self, maximum: int, buckets: int) -> int:
        """What a full table occupies."""
        return maximum * self.bytes_per_entry + buckets * BYTES_PER_BUCKET


@dataclass(frozen=True, slots=True)
class Size:
    """What is wanted; None: as it is, and not remedy's. lines: the sums. short_of: what cannot be had, and a cure."""

    maximum: int | None = None
    buckets: int | None = None
    time_wait: int | None = None
    established: int | None = None
    lines: tuple[str, ...] = ()
    short_of: tuple[str, str] | None = None


def size_of(options: ConntrackOptions, table: Table) -> Size:
    """The size that the spec wants of this table."""
    if options.connection_rate is not None:
        return _by_rate(options, options.connection_rate, table)
    if options.memory_bytes is not None:
        return _by_memory(options, options.memory_bytes, table)
    buckets = None if options.buckets is None else table.rounded(options.buckets)
    full = () if options.max is None else (_full(options.max, buckets or table.buckets, table),)
    return Size(options.max, buckets, options.time_wait_seconds, options.established_seconds, full)


def _by_memory(options: ConntrackOptions, memory: int, table: Table) -> Size:
    affordable, line = _affordable(memory, table)
    if affordable < LEAST_ENTRIES:
        least = spell_size(LEAST_ENTRIES * table.bytes_with_bucket)
        return Size(lines=(line,), short_of=(f"{options.memory} is no table: {line}", f"memory: {least} or more"))
    return _grown(options, table, affordable, options.time_wait_seconds, (line,))


def _by_rate(options: ConntrackOptions, rate: int, table: Table) -> Size:
    explicit = options.time_wait_seconds
    time_wait = explicit or table.time_wait_without_remedy
    lines = [_sum(rate, time_wait)]
    limit, why = _limit(options, table, lines)
    needed = HEADROOM * rate * time_wait
    is_shortened = limit is not None and needed > limit
    if limit is not None and is_shortened:
        time_wait = limit // (HEADROOM * rate)
        if time_wait < LEAST_TIME_WAIT or explicit is not None:
            return _too_small(options, rate, table, (*lines, why))
        needed = HEADROOM * rate * time_wait
        lines += [f"{why}, so a closed connection keeps its entry for {time_wait} s", _sum(rate, time_wait)]
    wanted = max(table.rounded(needed), table.maximum)
    is_remedys = is_shortened or explicit is not None or table.held_time_wait is not None
    maximum = wanted if limit is None else min(wanted, limit)
    return _grown(options, table, maximum, time_wait if is_remedys else None, tuple(lines))


def _limit(options: ConntrackOptions, table: Table, lines: list[str]) -> tuple[int | None, str]:
    """How many entries there may be at most, and why; None: as many as are needed."""
    affordable = None
    if options.memory_bytes is not None:
        affordable, line = _affordable(options.memory_bytes, table)
        lines.append(line)
    if not table.may_grow and (affordable is None or table.maximum <= affordable):
        return table.maximum, f"the machine's nf_conntrack_max is {table.maximum}"
    return affordable, "" if affordable is None else f"{options.memory} has room for {affordable}"


def _grown(
    options: ConntrackOptions, table: Table, maximum: int, time_wait: int | None, lines: tuple[str, ...]
) -> Size:
    """As many buckets as entries, and never fewer than there are. The whole size follows from the spec then."""
    if not table.may_grow and maximum == table.maximum:
        return Size(time_wait=time_wait, established=options.established_seconds, lines=lines)
    buckets = max(table.rounded(maximum), table.buckets)
    full = _full(maximum, buckets, table)
    return Size(maximum, buckets, time_wait, options.established_seconds, (*lines, full))


def _too_small(options: ConntrackOptions, rate: int, table: Table, lines: tuple[str, ...]) -> Size:
    least = options.time_wait_seconds or LEAST_TIME_WAIT
    entries = HEADROOM * rate * least
    what = f"{rate} connections a second do not fit: {entries} entries with a time_wait of {least} s; {lines[-1]}"
    memory = f"memory: {-(-entries * table.bytes_with_bucket >> 20) + 1}MiB" if options.memory is not None else ""
    larger = "" if table.may_grow else f"nf_conntrack_max = {table.rounded(entries)}, set on the machine itself"
    shorter = "a shorter tcp_timeout_time_wait" if options.time_wait_seconds is not None else ""
    cures = [cure for cure in (memory, larger, shorter) if cure]
    return Size(lines=lines, short_of=(what, f"{', or '.join(cures)}; or fewer tracked connections: keep them alive"))


def _affordable(memory: int, table: Table) -> tuple[int, str]:
    entries = memory // table.bytes_with_bucket // table.bucket_step * table.bucket_step
    each = f"{table.bytes_per_entry} bytes an entry + {BYTES_PER_BUCKET} a bucket"
    return entries, f"{spell_size(memory)} / ({each}) = {entries} entries"


def _sum(rate: int, time_wait: int) -> str:
    held = rate * time_wait
    closed = f"{rate} connections/s x {time_wait} s (time_wait) = {held} entries"
    return f"{closed}; x {HEADROOM} for bursts = {HEADROOM * held}"


def _full(maximum: int, buckets: int, table: Table) -> str:
    size = spell_size(table.bytes_when_full(maximum, buckets))
    entries = f"{maximum} entries x {table.bytes_per_entry} bytes"
    return f"full: {entries} + {buckets} buckets x {BYTES_PER_BUCKET} bytes = {size}"
