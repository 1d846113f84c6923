"""What the machine must offer, checked before anything is made: one error that names everything missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from remedy.errors import CommandError, LabError, MissingToolError
from remedy.host.commands import run_command
from remedy.lab.layout import unified_hierarchy

# program -> Debian package
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "setpriv": "util-linux",
    "pivot_root": "util-linux",
    "sysctl": "procps",
    "tar": "tar",
    "ldd": "libc-bin",
}
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
_MODULES = ("overlay", "veth", "bridge", "br_netfilter", "nf_tables", "ip_tables")


def check_machine() -> None:
    """Raise one LabError that lists what is missing: root, programs, kernel features."""
    missing = [*_missing_rights(), *_missing_programs(), *_missing_kernel_features()]
    if missing:
        raise LabError("the lab cannot run here", why="; ".join(missing))


def check_root() -> None:
    """Raise LabError unless this is root: everything that changes a lab needs it."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root", next_step="sudo")


def _missing_rights() -> list[str]:
    return [] if os.geteuid() == 0 else ["root is needed"]


def _missing_programs() -> list[str]:
    absent = {name: package for name, package in _PROGRAMS.items() if shutil.which(name) is None}
    return [f"the program {name} is missing (Debian package {package})" for name, package in absent.items()]


def _missing_kernel_features() -> list[str]:
    missing = [
        f"the kernel has no {name} namespaces" for name in _NAMESPACES if not Path(f"/proc/self/ns/{name}").exists()
    ]
    _load_modules()
    filesystems = Path("/proc/filesystems").read_text().split()
    missing += [f"the kernel has no {name} file system" for name in ("overlay", "cgroup2") if name not in filesystems]
    if not Path("/proc/sys/net/bridge").exists():
        missing.append("the kernel's bridges do not pass frames to iptables (module br_netfilter)")
    try:
        unified_hierarchy()
    except LabError as error:
        missing.append(f"{error.what} ({error.next_step})")
    return missing


def _load_modules() -> None:
    """Kernels with modules load most of these when they are asked for, br_netfilter never."""
    if os.geteuid() != 0 or Path("/proc/sys/net/bridge").exists():
        return
    for module in _MODULES:
        try:
            run_command(["modprobe", module], check=False)
        except (MissingToolError, CommandError):
            return
