"""The kernel's settings that decide whether a published port is reachable, straight from /proc/sys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from remedy.host.sysctls import PROC_SYS, conf_name

_FIXED = (
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv6.bindv6only",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-arptables",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.netfilter.nf_conntrack_tcp_loose",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
    "net.netfilter.nf_conntrack_udp_timeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream",
)
_PER_INTERFACE = {
    4: ("forwarding", "route_localnet", "rp_filter", "accept_local", "src_valid_mark"),
    6: ("forwarding", "disable_ipv6"),
}


def read_sysctls(interfaces: Iterable[str]) -> dict[str, str]:
    """Read the settings of the host, of all, default and lo, and of `interfaces`; absent ones are left out."""
    names = dict.fromkeys(("all", "default", "lo", *interfaces))
    wanted = [(name, PROC_SYS / name.replace(".", "/")) for name in _FIXED]
    wanted += [pair for name in names for pair in _of_interface(name)]
    return {name: value for name, path in wanted if (value := _read(path)) is not None}


def read_reverse_path_filters(interfaces: Iterable[str]) -> dict[str, str]:
    """Read of the calling thread's namespace what makes a container drop packets whose way back is another."""
    names = dict.fromkeys(("all", *interfaces))
    wanted = [(conf_name(name, "rp_filter"), PROC_SYS / "net/ipv4/conf" / name / "rp_filter") for name in names]
    return {name: value for name, path in wanted if (value := _read(path)) is not None}


def _of_interface(interface: str) -> Iterator[tuple[str, Path]]:
    # The name as the actions spell it; an interface's own dots (eth0.100) stay in the path, whatever the spelling.
    for family, settings in _PER_INTERFACE.items():
        for setting in settings:
            path = PROC_SYS / "net" / f"ipv{family}" / "conf" / interface / setting
            yield conf_name(interface, setting, family=family), path


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
