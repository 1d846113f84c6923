"""The lab's LAN: a bridge in a namespace of its own, and the external machine that hangs on it.

Neither namespace has a name: each lives as long as one sleeping process in the lab's cgroups.
"""

from __future__ import annotations

from collections.abc import Sequence

from remedy.errors import CommandError, LabError
from remedy.host.commands import run_command
from remedy.lab.cgroups import INIT_SCRIPTS, joining, make_cgroup, make_place, processes, remove_cgroup
from remedy.lab.layout import Layout, Place
from remedy.lab.records import external_address4, external_address6

_HOLD = INIT_SCRIPTS / "hold.sh"


def ensure_switch(layout: Layout) -> None:
    """Make the switch and the external machine unless they run. Call it with the lab's lock held."""
    # A cgroup without processes, made last: it goes with the switch, whoever removes that.
    ready = layout.switch_place.cgroup / "ready"
    if ready.exists() and switch_pid(layout) is not None and external_pid(layout) is not None:
        return
    remove_switch(layout)
    switch = _start_holder(layout, layout.switch_place, "switch")
    # A bridge that passed frames to iptables would track every connection a second time.
    _in_net(switch, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0")
    _in_net(switch, "ip", "link", "add", "lan", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
    _in_net(switch, "ip", "link", "set", "lan", "up")
    external = _start_holder(layout, layout.external_place, "external")
    _in_net(external, "ip", "link", "set", "lo", "up")
    _in_net(
        external,
        *("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "external", "netns", f"/proc/{switch}/ns/net"),
    )
    _in_net(switch, "ip", "link", "set", "external", "master", "lan", "up")
    _in_net(external, "ip", "link", "set", "eth0", "up")
    _in_net(external, "ip", "address", "add", str(external_address4()), "dev", "eth0")
    _in_net(external, "ip", "address", "add", str(external_address6()), "dev", "eth0", "nodad")
    make_cgroup(ready)


def remove_switch(layout: Layout) -> None:
    """End the switch and the external machine, whatever there is of them."""
    remove_cgroup(layout.external_place.cgroup)
    remove_cgroup(layout.switch_place.cgroup)


def switch_pid(layout: Layout) -> int | None:
    """The process that holds the switch's network namespace."""
    return next(iter(processes(layout.switch_place.machine)), None)


def external_pid(layout: Layout) -> int | None:
    """The process that holds the external machine's namespaces."""
    return next(iter(processes(layout.external_place.machine)), None)


def unplug(layout: Layout, port: str, addresses: Sequence[str]) -> None:
    """Remove a host's cable, and the external machine's routes to its addresses and memory of who has them.

    The next host with an address has another cable: what the external machine remembers of the first would be sent to
    nobody until the kernel doubts it (REACHABLE lasts 15 to 45 s: arp(7), base_reachable_time_ms).
    """
    switch, external = switch_pid(layout), external_pid(layout)
    if switch is not None:
        _in_net(switch, "ip", "link", "delete", port, check=False)
    if external is not None:
        for address in addresses:
            _in_net(external, "ip", "route", "flush", "via", address, check=False)
            _in_net(external, "ip", "neighbour", "flush", "to", address, "dev", "eth0", check=False)


def route_external(layout: Layout, subnet: str, address: str) -> None:
    """Let the external machine reach a subnet through a host."""
    external = external_pid(layout)
    if external is None:
        raise LabError("the external machine does not run", next_step="remedy lab up")
    _in_net(external, "ip", "route", "replace", subnet, "via", address)


def _start_holder(layout: Layout, place: Place, name: str) -> int:
    make_place(layout, place)
    command = ["unshare", "--net", "--uts", "--", "setsid", "--fork", "sh", str(_HOLD), name]
    run_command(joining(place.machine, *command))
    pids = processes(place.machine)
    if not pids:
        raise LabError(f"the lab's {name} does not start", why="the kernel refused a network or uts namespace")
    return pids[0]


def _in_net(pid: int, *arguments: str, check: bool = True) -> None:
    try:
        run_command(["nsenter", f"--target={pid}", "--net", "--", *arguments], check=check)
    except CommandError as error:
        raise LabError("the lab's LAN cannot be made", where=error.where, why=error.why) from error
