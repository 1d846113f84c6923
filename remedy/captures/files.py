"""The files of one capture, from a directory or from its compressed form, and back into that form."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remedy.errors import InputError

SUFFIX = ".tar.xz"
TRUTH = "truth.json"
_MARKS = (TRUTH, "container-net.json")  # by these a directory is known to be a capture


@dataclass(frozen=True, slots=True)
class CaptureFiles:
    """One capture by the names of its files. name is its directory's, as in `28.5.2-iptables-proxy-on`."""

    name: str
    content: Mapping[str, bytes]

    def text(self, name: str) -> str:
        """Return a file's text, empty where the capture has no such file."""
        return self.content.get(name, b"").decode(errors="replace")

    def document(self, name: str, default: Any = None) -> Any:
        """Return a JSON file's content, `default` where the capture has no such file. Raises InputError."""
        text = self.text(name)
        if not text.strip():
            return default
        try:
            return json.loads(text)
        except ValueError as error:
            raise InputError("this is not JSON", where=f"{self.name}/{name}", why=str(error)) from error


def find_captures(path: Path) -> list[Path]:
    """Return the captures at `path`: itself, where it is one, else those in it, by name. Raises InputError."""
    if _is_capture(path):
        return [path]
    found = sorted(filter(_is_capture, path.iterdir()), key=capture_name) if path.is_dir() else []
    if not found:
        raise InputError(
            "there is no capture", where=str(path), next_step=f"name a directory of directories or {SUFFIX} files"
        )
    return found


def capture_name(path: Path) -> str:
    """Return the name of the capture at `path`, the same for both forms."""
    return path.name.removesuffix(SUFFIX)


def read_capture(path: Path) -> CaptureFiles:
    """Read a capture in either form. Raises InputError."""
    try:
        content = dict(_packed_files(path) if path.is_file() else _plain_files(path))
    except (OSError, tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise InputError("the capture cannot be read", where=str(path), why=str(error)) from error
    return CaptureFiles(capture_name(path.resolve()), content)


def pack_capture(capture: CaptureFiles) -> bytes:
    """Return the compressed form, the same bytes for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(capture.content.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def _is_capture(path: Path) -> bool:
    return any((path / mark).is_file() for mark in _MARKS) or (path.is_file() and path.name.endswith(SUFFIX))


def _plain_files(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.iterdir()):
        if file.is_file():
            yield file.name, file.read_bytes()


def _packed_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, mode="r:xz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()
