"""Where a file of haproxy's configuration lies on the host, through the container's mounts.

A container's mounts are the engine's word on them. Two looks at each file: one through the container's root, as haproxy
sees it, and one at the path on the host; an editor that renames makes them two different files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import PurePosixPath

from remedy.facts.container_files import RegularFile
from remedy.facts.model import Container, HaproxyFile, Mount

# Kinds of mounts whose source is a path on the host. A volume of another driver has none, or one that is its own.
_ON_THE_HOST = frozenset({"bind", "volume"})


def describe_file(path: str, file: RegularFile, container: Container | None) -> HaproxyFile:
    """Say of a file that was read where else it can be found. container None: a haproxy of the host."""
    real_path = file.real_path
    host_path = real_path if container is None else path_on_host(real_path, container.mounts)
    on_host = _status_of(host_path)
    return HaproxyFile(
        path=path,
        raw=file.content,
        device=file.status.st_dev,
        inode=file.status.st_ino,
        mode=stat.S_IMODE(file.status.st_mode),
        uid=file.status.st_uid,
        gid=file.status.st_gid,
        host_path=host_path,
        host_device=on_host and on_host.st_dev,
        host_inode=on_host and on_host.st_ino,
        is_read_only=file.is_read_only,
    )


def path_on_host(real_path: str, mounts: Iterable[Mount]) -> str | None:
    """Translate a path of the container without links by the mount that it lies on; None: in the container's layers."""
    path = PurePosixPath(real_path)
    over = [mount for mount in mounts if path.is_relative_to(mount.destination)]
    if not over:
        return None
    mount = max(over, key=lambda mount: len(PurePosixPath(mount.destination).parts))
    if mount.kind not in _ON_THE_HOST or not mount.source.startswith("/"):
        return None
    return str(PurePosixPath(mount.source) / path.relative_to(mount.destination))


def _status_of(host_path: str | None) -> os.stat_result | None:
    if host_path is None:
        return None
    try:
        return os.lstat(host_path)
    except OSError:
        return None
