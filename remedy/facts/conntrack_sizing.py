"""What sizes the conntrack table: who may write it, what an entry costs, and which files set it at boot."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from remedy.errors import InputError
from remedy.facts.model import ConntrackSizing, HostFacts, KeptFile, SettingLine
from remedy.host.conntrack_settings import GLOBAL_SYSCTLS, HASH_SIZE, OWN_FILES, SIZING_SYSCTLS, TIME_WAIT, is_writable
from remedy.host.files import read_without_following

# First has precedence where two hold a file of the same name (sysctl.d(5)).
SYSCTL_DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
# Read by `sysctl --system` after all of them; systemd knows it only by a link in /etc/sysctl.d.
SYSCTL_CONF = "/etc/sysctl.conf"
SLABINFO = Path("/proc/slabinfo")
MEMINFO = Path("/proc/meminfo")
_SHORT_NAME = "net.nf_conntrack_max"  # the same setting, by its name before 2.6.20
_BYTES_PER_BUCKET = 8  # a pointer on 64 bits


def read_sizing(page_bytes: int) -> ConntrackSizing:
    """Read it of the calling thread's namespace. page_bytes: a hash table takes whole pages."""
    settings = (*SIZING_SYSCTLS, HASH_SIZE)
    writable = tuple(name for name in settings if is_writable(name))
    if not set(GLOBAL_SYSCTLS) & set(writable):
        # The parameter's mode is the same in every namespace; the kernel refuses it in all but the machine's own.
        writable = tuple(name for name in writable if name != HASH_SIZE)
    return ConntrackSizing(
        writable=writable,
        bytes_per_entry=parse_slab(_read(SLABINFO), page_bytes),
        bucket_step=page_bytes // _BYTES_PER_BUCKET,
        memory_bytes=parse_memory(_read(MEMINFO)),
        set_by=tuple(read_setting_lines()),
        own_files=tuple(_kept_file(path) for path in OWN_FILES),
    )


def parse_slab(text: str, page_bytes: int) -> int | None:
    """What one nf_conntrack object takes, its share of the page's rest too; None where the kernel does not tell.

    Kernels before 4.7 have a cache for each namespace (nf_conntrack_ADDRESS): all of one size.
    """
    found = re.search(r"^nf_conntrack(?:_[0-9a-f]+)?\s+\d+\s+\d+\s+\d+\s+(\d+)\s+(\d+)", text, re.MULTILINE)
    if found is None or not int(found[1]):
        return None
    objects, pages = int(found[1]), int(found[2])
    return -(-pages * page_bytes // objects)


def parse_memory(text: str) -> int | None:
    """MemTotal of /proc/meminfo, in bytes."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return None if found is None else int(found[1]) << 10


def read_setting_lines() -> Iterator[SettingLine]:
    """The lines that set these settings at boot, in the order in which they count, remedy's own left out."""
    files: dict[str, Path] = {}
    for directory in reversed(SYSCTL_DIRECTORIES):
        files.update({path.name: path for path in Path(directory).glob("*.conf")})
    ordered = [files[name] for name in sorted(files)]
    conf = Path(SYSCTL_CONF)
    if all(path.resolve() != conf.resolve() for path in ordered):
        ordered.append(conf)
    for path in ordered:
        if str(path) not in OWN_FILES:
            yield from parse_setting_lines(_read(path), str(path))


def parse_setting_lines(text: str, path: str) -> Iterator[SettingLine]:
    """The lines of one file of sysctl.d(5) that set one of these settings."""
    for number, line in enumerate(text.splitlines(), start=1):
        key, equals, value = line.partition("=")
        name = key.strip().removeprefix("-").replace("/", ".")
        name = SIZING_SYSCTLS[0] if name == _SHORT_NAME else name
        if equals and name in SIZING_SYSCTLS:
            yield SettingLine(name=name, value=value.strip(), path=path, line=number)


def ended_per_second(facts: HostFacts) -> float | None:
    """How many TCP connections ended a second, on average over the time_wait timeout."""
    seconds, ended = facts.sysctls.get(TIME_WAIT, ""), facts.conntrack.time_wait
    if ended is None or not seconds.isdigit() or not int(seconds):
        return None
    return round(ended / int(seconds), 1)


def _kept_file(path: str) -> KeptFile:
    try:
        status = Path(path).lstat()
        raw = read_without_following(Path(path))
    except (OSError, InputError):
        return KeptFile(path=path, raw=None)  # a symbolic link is refused before anything is written
    return KeptFile(
        path=path,
        raw=raw,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
