"""resolv.conf and hosts of a container: what joining a user-defined network changes in them, and leaving does not undo.

The engine writes 127.0.0.11, its own DNS, into resolv.conf when a container joins its first user-defined network, and
leaves it there when the container has left (20.10, 26.1, 28.5). After the next restart of the engine with live-restore
nobody listens at 127.0.0.11 in a container that is on the default network only: it would resolve no name any more. And
20.10 takes the container's own line on *every* network out of hosts when it leaves one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from remedy.host.files import read_without_following

ENGINE_DNS = "127.0.0.11"
NETWORKS_WITHOUT_DNS = ("bridge", "host", "none")
LARGEST = 1 << 20
STARTED = "started"  # beside the files: when the container's processes of then had started
_HOST_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))

Inspect = Mapping[str, Any]


def read_name_files(container: Inspect) -> dict[str, str]:
    """The container's files as they are, for the undo: path -> base64. Raises OSError, InputError."""
    found = {STARTED: _started(container)}
    for path in filter(None, (_path(container.get("HostsPath")), _path(container.get("ResolvConfPath")))):
        raw = read_without_following(path)
        if raw is not None and len(raw) <= LARGEST:
            found[str(path)] = base64.b64encode(raw).decode()
    return found


def restore_name_files(container: Inspect, before: Mapping[str, object], leaving: bytes = b"") -> None:
    """Put back what the container's networks today do not need. Raises OSError, InputError.

    before: as read_name_files gave it, of this container or of the one in whose place it is; empty: of neither.
    leaving: hosts, just before the container left. One that was started since gets the nameservers of today.
    """
    files = {path: text for path, text in before.items() if path != STARTED and isinstance(text, str)}
    known = {Path(path).name: base64.b64decode(text) for path, text in files.items()}
    resolver, hosts = _path(container.get("ResolvConfPath")), _path(container.get("HostsPath"))
    if resolver is not None and not _asks_engine(container) and set(_nameservers(_read(resolver))) == {ENGINE_DNS}:
        then = known.get(resolver.name)
        is_as_then = then is not None and before.get(STARTED) == _started(container)
        _put(resolver, then if is_as_then else _of_today(then or _read(resolver), container))
    if hosts is not None:
        for earlier in (known.get(hosts.name, b""), leaving):
            _put(hosts, restored_hosts(earlier, _read(hosts), _addresses(container)))


def read_hosts(container: Inspect) -> bytes:
    """The container's hosts. Raises OSError, InputError."""
    path = _path(container.get("HostsPath"))
    return b"" if path is None else _read(path)


def _of_today(raw: bytes, container: Inspect) -> bytes | None:
    """resolv.conf as the engine would write it if the container started now: its own nameservers, or the host's."""
    own = (container.get("HostConfig") or {}).get("Dns") or host_nameservers()
    return with_nameservers(raw.replace(b" ndots:0", b""), own) if own else None


def host_nameservers() -> list[str]:
    """Those that the engine gives to containers: the host's, loopback ones left out (they are not the container's).

    Where the host asks systemd-resolved on its own loopback, the engine takes those that this one asks.
    """
    for path in _HOST_RESOLVERS:
        found = [server for server in _nameservers(_read(path)) if not server.startswith("127.") and server != "::1"]
        if found:
            return found
    return []


def ask_engine_dns(container: Inspect) -> None:
    """Let a container on a user-defined network ask the engine's DNS, where the engine has not seen to it.

    It writes resolv.conf once in the life of a container and an engine, not again for one that left all such networks
    and comes back (libnetwork, resolverOnce). A file that somebody has edited is left alone, as by the engine: the
    digest of what the engine wrote first, which lies beside it, does not fit. Raises OSError, InputError.
    """
    resolver = _path(container.get("ResolvConfPath"))
    if resolver is None or not _asks_engine(container):
        return
    raw = _read(resolver)
    if ENGINE_DNS in _nameservers(raw) or _read(resolver.with_name(f"{resolver.name}.hash")) != _digest(raw):
        return
    _put(resolver, with_engine_dns(raw))


def with_engine_dns(raw: bytes) -> bytes:
    """resolv.conf with the engine's DNS in place of the nameservers, and options as the engine gives them."""
    lines = with_nameservers(raw, [ENGINE_DNS]).decode(errors="surrogateescape").splitlines()
    kept = [line for line in lines if line.split()[:1] != ["options"]]
    options = [word for line in lines if line.split()[:1] == ["options"] for word in line.split()[1:]]
    if not any(option.startswith("ndots:") for option in options):
        options.append("ndots:0")
    return "".join(f"{line}\n" for line in (*kept, f"options {' '.join(options)}")).encode(errors="surrogateescape")


def with_nameservers(raw: bytes, servers: Sequence[str]) -> bytes:
    """resolv.conf with these nameservers in place of its own."""
    lines = raw.decode(errors="surrogateescape").splitlines()
    own = [number for number, line in enumerate(lines) if line.split()[:1] == ["nameserver"]]
    place = own[0] if own else 0
    kept = [line for number, line in enumerate(lines) if number not in own]
    written = [*kept[:place], *(f"nameserver {server}" for server in servers), *kept[place:]]
    return "".join(f"{line}\n" for line in written).encode(errors="surrogateescape")


def restored_hosts(before: bytes, now: bytes, own: Sequence[str]) -> bytes | None:
    """hosts with the container's own lines that are missing; None: nothing is. own: its addresses today."""
    present = now.splitlines()
    addresses = {address.encode() for address in own}
    missing = [line for line in before.splitlines() if line not in present and _is_of(line, addresses)]
    if not missing:
        return None
    if sorted([*present, *missing]) == sorted(before.splitlines()):
        return before
    return b"".join(line + b"\n" for line in (*present, *missing))


def _is_of(line: bytes, addresses: set[bytes]) -> bool:
    return any(word in addresses for word in line.split()[:1])


def _asks_engine(container: Inspect) -> bool:
    """Whether the container is on a network where the engine's DNS answers."""
    return any(name not in NETWORKS_WITHOUT_DNS for name in _networks(container))


def _nameservers(raw: bytes) -> list[str]:
    words = [line.split() for line in raw.decode(errors="replace").splitlines()]
    return [line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1]


def _networks(container: Inspect) -> Mapping[str, Any]:
    networks: Mapping[str, Any] = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return networks


def _started(container: Inspect) -> str:
    return str((container.get("State") or {}).get("StartedAt"))


def _addresses(container: Inspect) -> list[str]:
    keys = ("IPAddress", "GlobalIPv6Address")
    return [endpoint[key] for endpoint in _networks(container).values() for key in keys if endpoint.get(key)]


def _path(text: object) -> Path | None:
    return Path(text) if isinstance(text, str) and text.startswith("/") else None


def _digest(raw: bytes) -> bytes:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}".encode()


def _read(path: Path) -> bytes:
    return read_without_following(path) or b""


def _put(path: Path, raw: bytes | None) -> None:
    """In place: it is mounted into the container, which goes on seeing the inode that it has."""
    if raw is None or _read(path) == raw:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.pwrite(descriptor, raw, 0)
            os.ftruncate(descriptor, len(raw))
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
