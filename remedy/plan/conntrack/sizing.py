"""plan_conntrack(): the sizing of the conntrack table as an action, or why not. A pure function of spec and facts."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.model import ConntrackSizing, HostFacts
from remedy.host.conntrack_settings import BUCKETS, ESTABLISHED, GLOBAL_SYSCTLS, HASH_SIZE, MAXIMUM, TIME_WAIT
from remedy.plan.actions import Disruption, SizeConntrack
from remedy.plan.conntrack.arithmetic import USUAL_BYTES_PER_ENTRY, Size, Table, size_of
from remedy.plan.conntrack.files import held_value, originals, wanted_files
from remedy.plan.conntrack.warnings import sizing_warnings
from remedy.plan.model import Refusal
from remedy.plan.part import Part
from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.models import Spec
from remedy.spec.size import spell_size


def plan_conntrack(spec: Spec, facts: HostFacts) -> Part:
    """The action that brings the table to the wanted size. What is unsafe stands in `refusals`."""
    options = spec.remedies.conntrack
    if options is None:
        return Part()
    table = _table(facts)
    sizing = facts.conntrack.sizing
    if table is None or sizing is None:
        return Part(refusals=(_not_known(facts),))
    size = size_of(options, table)
    if size.short_of is not None:
        return Part(refusals=(_too_small(size.short_of),))
    values = settings_of(size, sizing)
    refusals = tuple(_refusals(size, values, facts, sizing))
    warnings = tuple(sizing_warnings(options, size, table, facts))
    action = _action(options, size, values, facts)
    return Part(() if action is None else (action,), refusals, warnings)


def settings_of(size: Size, sizing: ConntrackSizing) -> dict[str, str]:
    """The kernel's settings, in the order in which they are written: room first, then who may use it."""
    # Where the sysctl is read-only on a kernel whose nf_conntrack_max is not, the module parameter is the way.
    buckets = HASH_SIZE if BUCKETS not in sizing.writable and HASH_SIZE in sizing.writable else BUCKETS
    wanted = {TIME_WAIT: size.time_wait, ESTABLISHED: size.established, buckets: size.buckets, MAXIMUM: size.maximum}
    return {name: str(value) for name, value in wanted.items() if value is not None}


def _table(facts: HostFacts) -> Table | None:
    known, sizing = facts.conntrack, facts.conntrack.sizing
    time_wait = facts.sysctls.get(TIME_WAIT, "")
    if known.maximum is None or known.buckets is None or sizing is None or not time_wait.isdigit():
        return None
    return Table(
        maximum=known.maximum,
        buckets=known.buckets,
        time_wait=int(time_wait),
        may_grow=MAXIMUM in sizing.writable,
        bytes_per_entry=sizing.bytes_per_entry or USUAL_BYTES_PER_ENTRY,
        bucket_step=sizing.bucket_step,
        held_time_wait=held_value(TIME_WAIT, sizing.own_files),
    )


def current_value(name: str, facts: HostFacts) -> str | None:
    """What a setting is now; None where it could not be read."""
    if name in (BUCKETS, HASH_SIZE):
        return None if facts.conntrack.buckets is None else str(facts.conntrack.buckets)
    return facts.sysctls.get(name)


def _action(options: ConntrackOptions, size: Size, values: dict[str, str], facts: HostFacts) -> SizeConntrack | None:
    changed = {name: value for name, value in values.items() if current_value(name, facts) != value}
    own = facts.conntrack.sizing.own_files if facts.conntrack.sizing else ()
    present = {file.path: file.raw for file in own}
    files = tuple(file for file in wanted_files(values) if present.get(file.path) != file.raw)
    if not changed and not files:
        return None
    previous = {name: current_value(name, facts) or "" for name in changed}
    hashed_again = bool(changed.keys() & {BUCKETS, HASH_SIZE})
    return SizeConntrack(
        id="conntrack",
        summary=_summary(changed),
        reason=_reason(options, facts),
        before=_listed(previous) if changed else "as wanted, until the next boot",
        after=_listed(changed) if changed else "as wanted, and set at boot",
        inverse="the values and files as they were",
        disruption=Disruption(what="packets wait while the kernel hashes all entries again" if hashed_again else ""),
        values=changed,
        previous=previous,
        files=files,
        original_files=originals(files, own),
        arithmetic=size.lines,
    )


def _summary(changed: dict[str, str]) -> str:
    if not changed:
        return "conntrack: the values of today kept for the next boot"
    if MAXIMUM in changed:
        return f"conntrack: room for {changed[MAXIMUM]} connections"
    return "conntrack: " + _listed({name.replace("nf_conntrack_", ""): value for name, value in changed.items()})


def _reason(options: ConntrackOptions, facts: HostFacts) -> str:
    known = facts.conntrack
    now = f"{known.count} of {known.maximum} entries are in use now"
    if options.connection_rate is not None:
        return f"a full table drops every new connection without an answer; {now}"
    return f"the spec says so; {now}"


def _listed(values: dict[str, str]) -> str:
    return ", ".join(f"{name.rpartition('.')[2]} = {value}" for name, value in values.items())


def _refusals(size: Size, values: dict[str, str], facts: HostFacts, sizing: ConntrackSizing) -> Iterator[Refusal]:
    changed = [name for name, value in values.items() if current_value(name, facts) != value]
    foreign = [name for name in changed if name not in sizing.writable]
    shared = [name for name in foreign if name in GLOBAL_SYSCTLS]
    if shared:
        yield _of_the_machine(shared, values)
    elif foreign:
        yield Refusal(
            code="conntrack-read-only",
            what=f"{', '.join(foreign)} cannot be written here",
            why="/proc/sys is read-only for this remedy",
            cure="run remedy as root on the host itself, not in a container",
        )
    yield from _memory(size, facts, sizing)
    in_use = facts.conntrack.count
    if size.maximum is not None and in_use is not None and size.maximum < in_use:
        yield Refusal(
            code="conntrack-in-use",
            what=f"the table would have room for {size.maximum} connections, and {in_use} are in it now",
            why="every new connection would be dropped until enough of them have ended",
            cure="a larger max (or memory), or a shorter tcp_timeout_time_wait first",
        )


def _memory(size: Size, facts: HostFacts, sizing: ConntrackSizing) -> Iterator[Refusal]:
    table = _table(facts)
    if size.maximum is None or table is None or sizing.memory_bytes is None:
        return
    full = table.bytes_when_full(size.maximum, size.buckets or table.buckets)
    if full > sizing.memory_bytes:
        has = spell_size(sizing.memory_bytes)
        yield Refusal(
            code="conntrack-memory",
            what=f"a full table would occupy {spell_size(full)}, and this machine has {has}",
            why="; ".join(size.lines),
            cure="a smaller max or connection_rate, or a shorter tcp_timeout_time_wait",
        )


def _of_the_machine(names: list[str], values: dict[str, str]) -> Refusal:
    commands = "; ".join(f"sysctl -w {name}={values[name]}" for name in names)
    return Refusal(
        code="conntrack-global",
        what=f"{', '.join(names)} cannot be set from here",
        why="it is one setting for the whole machine, and this host lives in a network namespace of it: a container, "
        "or a virtual host that shares its kernel",
        cure=f"on the machine itself: {commands}; here the timeouts alone can be set (connection_rate without memory "
        "makes do with the room that there is)",
    )


def _too_small(short_of: tuple[str, str]) -> Refusal:
    what, cure = short_of
    return Refusal(
        code="conntrack-too-small",
        what=what,
        why="a full table drops every new connection of the host without an answer",
        cure=cure,
    )


def _not_known(facts: HostFacts) -> Refusal:
    if facts.conntrack.count is None and not any(note.item.startswith("conntrack") for note in facts.unread):
        return Refusal(
            code="conntrack-not-loaded",
            what="this kernel does not track connections now, so there is no table to size",
            why="nf_conntrack is not loaded: no rule has asked for it yet",
            cure="leave conntrack out, or `modprobe nf_conntrack` first",
        )
    return Refusal(
        code="conntrack-unread",
        what="the size of the conntrack table could not be read",
        why=next((n.reason for n in facts.unread if n.item.startswith("conntrack")), "these facts do not have it"),
        cure="remedy facts as root on the host itself, with this version of remedy",
    )
