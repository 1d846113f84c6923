"""The files that set the sizes again at boot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from remedy.facts.conntrack_sizing import parse_setting_lines
from remedy.facts.model import KeptFile
from remedy.host.conntrack_settings import HASH_SIZE, MODULE_FILE, OPTIONS_FILE, SYSCTL_FILE
from remedy.plan.actions import FileContent

_HEAD = "# Written by remedy (remedies: conntrack); `remedy rollback` takes it away.\n"


def wanted_files(values: Mapping[str, str]) -> Iterator[FileContent]:
    """What keeps these values: sysctl.d(5), modules-load.d(5) ahead of it, and modprobe.d(5) for a module parameter."""
    sysctls = {name: value for name, value in values.items() if name != HASH_SIZE}
    if sysctls:
        yield _file(SYSCTL_FILE, "".join(f"{name} = {value}\n" for name, value in sysctls.items()))
    yield _file(MODULE_FILE, "nf_conntrack\n")
    if HASH_SIZE in values:
        yield _file(OPTIONS_FILE, f"options nf_conntrack hashsize={values[HASH_SIZE]}\n")


def held_value(name: str, own: Sequence[KeptFile]) -> int | None:
    """What remedy's own file keeps a sysctl at; None where it does not."""
    raw = next((file.raw for file in own if file.path == SYSCTL_FILE), None)
    lines = parse_setting_lines((raw or b"").decode(errors="replace"), SYSCTL_FILE)
    return next((int(line.value) for line in lines if line.name == name and line.value.isdigit()), None)


def originals(files: Iterable[FileContent], own: Sequence[KeptFile]) -> tuple[FileContent, ...]:
    """What lies there now, for each of the files."""
    present = {file.path: file for file in own}
    return tuple(_original(present.get(file.path, KeptFile(path=file.path, raw=None))) for file in files)


def _original(kept: KeptFile) -> FileContent:
    return FileContent(path=kept.path, raw=kept.raw, mode=kept.mode, uid=kept.uid, gid=kept.gid)


def _file(path: str, text: str) -> FileContent:
    return FileContent(path=path, raw=(_HEAD + text).encode())
