"""Hosts come up, restart, and go without a trace.

The order is always: lock, record on disk, then the thing. Removal goes the other way: mark the record, kill, delete,
the record last. So whatever is interrupted, `prune` finds what is left by the records and the lab's cgroups.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from remedy.errors import CommandError, LabError
from remedy.lab.boot import docker_socket, start_host, stop_host
from remedy.lab.builds import Say, clean_builds
from remedy.lab.cgroups import remove_cgroup
from remedy.lab.host import Host
from remedy.lab.layout import ENGINES, FIREWALLS, Layout, check_host_name, find_layout
from remedy.lab.locks import locked, try_lock
from remedy.lab.namespaces import dismiss_stopped_visitors
from remedy.lab.populate import populate, wait_for_containers
from remedy.lab.prepare import prepare_host
from remedy.lab.records import (
    HostRecord,
    free_number,
    get_record,
    host_names,
    read_claim,
    read_record,
    this_process,
    write_record,
)
from remedy.lab.requirements import check_machine, check_root
from remedy.lab.rootfs import host_rootfs
from remedy.lab.switch import ensure_switch, remove_switch, route_external
from remedy.lab.template import docker_template
from remedy.lab.topology import Topology
from remedy.lab.topology_files import load_topology

_SHUTDOWN_TIMEOUT_SECONDS = 30.0


def _silent(_: str) -> None:
    """Takes progress and says nothing."""


@dataclass(frozen=True, slots=True)
class Order:
    """What host is wanted."""

    name: str
    engine: str = ENGINES[-1]
    firewall: str = FIREWALLS[0]
    topology: Topology = field(default_factory=Topology)
    engine_directory: Path | None = None


def lab_up(  # noqa: PLR0913
    name: str = "host",
    *,
    engine: str = ENGINES[-1],
    firewall: str = FIREWALLS[0],
    topology: str | Path | Topology = "operator",
    scale: dict[str, int] | None = None,
    engine_directory: Path | None = None,
    layout: Layout | None = None,
    say: Say = _silent,
) -> Host:
    """Start a host and wait until its containers answer. It belongs to the calling process until `release`.

    topology: a shipped name, a YAML file, or a value. scale: service -> number of containers.
    Raises LabError, with nothing left behind, when anything is missing or fails.
    """
    _check_choice("engine", engine, ENGINES)
    _check_choice("firewall", firewall, FIREWALLS)
    if engine_directory is not None and not engine_directory.is_dir():
        raise LabError("there is no such directory of executables", where=str(engine_directory))
    order = Order(
        check_host_name(name),
        engine,
        firewall,
        load_topology(topology, scale),
        engine_directory and engine_directory.resolve(),
    )
    check_machine()
    return _bring_up(layout or find_layout(), order, say)


def release(host: Host) -> Host:
    """Hand the host over to the operator: it outlives the calling process, and `prune` keeps it."""
    record = host.record.model_copy(update={"owner": None})
    write_record(host.layout, record)
    return Host(host.layout, record)


def find_host(name: str, layout: Layout | None = None) -> Host:
    """A host that exists, running or not; LabError when there is none of that name."""
    lab = layout or find_layout()
    return Host(lab, get_record(lab, name))


def all_hosts(layout: Layout | None = None) -> list[Host]:
    """Every host of the lab that has a record, by name."""
    lab = layout or find_layout()
    records = [read_record(lab, name) for name in host_names(lab)]
    return [Host(lab, record) for record in records if record is not None]


def take_down(layout: Layout, name: str) -> None:
    """Remove a host, whole or half made. LabError when there is none of that name."""
    check_root()
    if name not in host_names(layout):
        get_record(layout, name)  # raises, and says which hosts there are
    with suppress(FileNotFoundError), locked(layout.host_directory(name)):
        _remove_host(layout, name)
    _remove_empty_lab(layout)


def take_all_down(layout: Layout) -> list[str]:
    """Remove every host of the lab, and the lab; the names of the hosts."""
    check_root()
    names = host_names(layout)
    for name in names:
        with suppress(FileNotFoundError), locked(layout.host_directory(name)):
            _remove_host(layout, name)
    _remove_empty_lab(layout)
    return names


def prune(layout: Layout) -> list[str]:
    """Remove what nobody is responsible for: orphaned hosts and builds, stray cgroups; their names.

    Hosts that an operator brought up stay, and so does everything that a live process is working on.
    """
    check_root()
    removed = clean_builds(layout.cache)
    for name in host_names(layout):
        with _free_host(layout, name) as is_ours:
            claim = read_claim(layout, name)
            if is_ours and (claim is None or claim.is_orphan):
                _remove_host(layout, name)
                removed.append(name)
    _remove_empty_lab(layout)
    return removed


def reboot_host(layout: Layout, name: str, *, hard: bool = False) -> Host:
    """Shut a host down and start it again; a host that does not run is only started."""
    check_root()
    record = get_record(layout, name)
    with locked(layout.host_directory(name)):
        host = Host(layout, record)
        if host.is_running and not hard:
            _shut_down(host)
        stop_host(layout, record)
        with locked(layout.directory):
            ensure_switch(layout)
        pid = start_host(layout, record)
        _add_routes(layout, record)
    wait_for_containers(f"unix://{docker_socket(pid)}", record.topology, Path(f"/proc/{pid}/root"))
    return Host(layout, record)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise LabError(f"there is no {what} {value!r} in the lab", why=f"there are {', '.join(choices)}")


def _bring_up(layout: Layout, order: Order, say: Say) -> Host:
    rootfs = host_rootfs(order.engine, layout.cache, say, order.topology.packages)
    template = docker_template(order.engine, layout.cache, say)
    with _claimed(layout, order, rootfs) as record:
        say(f"starting {record.name} ...")
        prepare_host(layout, record, template)
        pid = start_host(layout, record)
        _add_routes(layout, record)
        say(f"creating {len(record.topology.containers)} containers ...")
        populate(f"unix://{docker_socket(pid)}", record.topology, Path(f"/proc/{pid}/root"))
    return Host(layout, record)


@contextmanager
def _claimed(layout: Layout, order: Order, rootfs: Path) -> Iterator[HostRecord]:
    """A new host's directory, record and lock, and the lab around it; all gone again when the body fails."""
    descriptor = None
    try:
        with locked(layout.directory, create=True):
            descriptor = _claim_directory(layout, order.name)
            record = HostRecord(
                name=order.name,
                engine=order.engine,
                firewall=order.firewall,
                number=free_number(layout),
                rootfs=rootfs,
                engine_directory=order.engine_directory,
                topology=order.topology,
                owner=this_process(),
                created=time.time(),
            )
            write_record(layout, record)
            ensure_switch(layout)
        yield record
    except BaseException:
        if descriptor is not None:
            _remove_host(layout, order.name)
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)
        _remove_empty_lab(layout)


def _claim_directory(layout: Layout, name: str) -> int:
    """Make a host's directory and lock it. Call it with the lab's lock held."""
    directory = layout.host_directory(name)
    if directory.exists():
        raise LabError(f"there is a lab host {name!r} already", next_step=f"remedy lab down {name}")
    directory.mkdir(parents=True)
    descriptor = try_lock(directory)
    if descriptor is None:
        raise LabError(f"another process removes {name!r} at this moment")
    return descriptor


def _add_routes(layout: Layout, record: HostRecord) -> None:
    for subnet in record.topology.external_routes:
        route_external(layout, subnet, str(record.address4.ip))


def _shut_down(host: Host) -> None:
    """As an administrator would; whoever does not end in time is ended by the power cut that follows."""
    with suppress(CommandError):
        host.run(["systemctl", "poweroff"], timeout=10)
    deadline = time.monotonic() + _SHUTDOWN_TIMEOUT_SECONDS
    while host.is_running and time.monotonic() < deadline:
        dismiss_stopped_visitors(host.place)
        time.sleep(0.02)


def _remove_host(layout: Layout, name: str) -> None:
    """Kill, unplug, delete; the directory with the record goes last. Call it with the host's lock held."""
    record, claim = read_record(layout, name), read_claim(layout, name)
    directory = layout.host_directory(name)
    if record is not None:
        write_record(layout, record.model_copy(update={"leaving": True}))
    if claim is None:
        remove_cgroup(layout.host_place(name).cgroup)
    else:
        stop_host(layout, claim)
        for entry in directory.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
    shutil.rmtree(directory)


def _remove_empty_lab(layout: Layout) -> None:
    """Without hosts: no switch, no cgroups, no directory. A lab that somebody is starting in is left alone."""
    with locked(layout.directory, create=True):
        names = host_names(layout)
        if names:
            _remove_stray_cgroups(layout, names)
            return
        remove_switch(layout)
        remove_cgroup(layout.cgroup)
        for directory in (layout.hosts, layout.directory):
            with suppress(OSError):  # Somebody else's file is in it: theirs to remove.
                directory.rmdir()


def _remove_stray_cgroups(layout: Layout, names: list[str]) -> None:
    """Processes of hosts whose directory was deleted by hand."""
    kept = {*names, layout.switch_place.cgroup.name, layout.external_place.cgroup.name}
    for cgroup in [entry for entry in layout.cgroup.glob("*/") if entry.name not in kept]:
        remove_cgroup(cgroup)


@contextmanager
def _free_host(layout: Layout, name: str) -> Iterator[bool]:
    """Whether the host's lock could be had; it is held meanwhile."""
    descriptor = None
    # With the lab's lock, since a new host's directory is there a moment before its own lock.
    with suppress(FileNotFoundError), locked(layout.directory):
        descriptor = try_lock(layout.host_directory(name))
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)
