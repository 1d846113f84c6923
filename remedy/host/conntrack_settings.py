"""The settings that decide how many connections the kernel can track: their names, where they live, how they are kept.

Two of them are the machine's: nf_conntrack_max and the number of buckets are one value for all network namespaces, and
only the machine's own may write them (kernel 5.13, "netfilter: conntrack: Make global sysctls readonly in non-init
netns"; before that nf_conntrack_max could be written from anywhere). The timeouts are each namespace's own.
"""

from __future__ import annotations

from pathlib import Path

from remedy.host.sysctls import path_of

MAXIMUM = "net.netfilter.nf_conntrack_max"
BUCKETS = "net.netfilter.nf_conntrack_buckets"
TIME_WAIT = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
ESTABLISHED = "net.netfilter.nf_conntrack_tcp_timeout_established"
SIZING_SYSCTLS = (MAXIMUM, BUCKETS, TIME_WAIT, ESTABLISHED)
GLOBAL_SYSCTLS = (MAXIMUM, BUCKETS)
# As on the kernel's command line: the only way to another number of buckets before kernel 4.8, whose sysctl is
# read-only ("netfilter: conntrack: allow increasing bucket size via sysctl too").
HASH_SIZE = "nf_conntrack.hashsize"

# What has the last word sorts last: /etc/sysctl.d/99-sysctl.conf is /etc/sysctl.conf on Debian.
SYSCTL_FILE = "/etc/sysctl.d/99-zz-remedy-conntrack.conf"
# The names exist only once the module is loaded, and at boot systemd-sysctl is there before the engine.
MODULE_FILE = "/etc/modules-load.d/remedy-conntrack.conf"
OPTIONS_FILE = "/etc/modprobe.d/remedy-conntrack.conf"
OWN_FILES = (SYSCTL_FILE, MODULE_FILE, OPTIONS_FILE)

SYS_MODULE = Path("/sys/module")


def setting_path(name: str) -> Path:
    """Where a setting lives: a sysctl, or a module parameter (MODULE.PARAMETER). Raises ValueError."""
    if name == HASH_SIZE:
        module, parameter = name.split(".")
        return SYS_MODULE / module / "parameters" / parameter
    return path_of(name)


def read_setting(name: str) -> str | None:
    """The value as text; None when this kernel or namespace does not have it."""
    try:
        return setting_path(name).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_setting(name: str, value: str) -> None:
    """Write a value. Raises OSError."""
    setting_path(name).write_text(value + "\n")


def is_writable(name: str) -> bool:
    """Whether root may write it from this network namespace: the kernel shows a global one read-only in the others."""
    try:
        return bool(setting_path(name).stat().st_mode & 0o200)
    except OSError:
        return False
