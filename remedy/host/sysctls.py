"""Sysctl names and where they live; reading and writing one."""

from __future__ import annotations

from pathlib import Path

PROC_SYS = Path("/proc/sys")


def conf_name(interface: str, key: str, *, family: int = 4) -> str:
    """The name of an interface's sysctl. An interface with a dot is written with slashes, as sysctl(8) does."""
    separator = "/" if "." in interface else "."
    return separator.join(("net", f"ipv{family}", "conf", interface, key))


def path_of(name: str) -> Path:
    """Where a sysctl lives: dots separate, unless the name is written with slashes. Raises ValueError."""
    parts = name.split("/") if "/" in name else name.split(".")
    if len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name!r} is not the name of a sysctl")
    return PROC_SYS.joinpath(*parts)


def read_sysctl(name: str) -> str | None:
    """The value as text; None when this kernel or namespace does not have it."""
    try:
        return path_of(name).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_sysctl(name: str, value: str) -> None:
    """Write a value. Raises OSError."""
    path_of(name).write_text(value + "\n")
