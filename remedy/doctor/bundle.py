"""What a bug report needs, in one file: facts, findings, the runs' plans and journals, versions; redacted.

A .tar.gz, or one JSON document where the name ends so. The owner alone may read it, and nothing is overwritten.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from remedy import __version__
from remedy.doctor.model import Diagnosis
from remedy.doctor.redaction import redact
from remedy.errors import InputError, RemedyError
from remedy.facts.model import HostFacts

README = """\
A bundle of `remedy doctor --bundle`: what a bug report needs.

facts.json       the state of the host (remedy plan --facts facts.json works with it)
diagnosis.json   what the doctor found
versions.json    of remedy, Python, the kernel, the engine and the firewall's programs
runs/            the newest runs: each one's plan and journal
state.json       the files in remedy's state directory, by name, size and mode

Taken out: values of environment variables, labels (but compose's), foreign network options, arguments of
containers' commands, daemon.json's keys that have nothing to do with networking, haproxy's configuration (its servers
are told), and whatever looks like a secret.
Left in: names of containers, images and networks, addresses, firewall rules with their comments, who is connected to
whom. Read it before you pass it on.
"""
MOST_RUNS = 20
_MOST_BYTES = 8 << 20  # of one journal or plan
_PACKAGES = ("pydantic", "docker", "typer", "rich", "ruamel.yaml", "python-iptables")


def write_bundle(path: Path, facts: HostFacts, diagnosis: Diagnosis, state_directory: Path) -> None:
    """Write the bundle. Raises InputError, and RemedyError where the file is there already."""
    documents = dict(_documents(facts, diagnosis, state_directory))
    raw = _as_json(documents) if path.suffix == ".json" else _as_archive(documents)
    try:
        # O_EXCL: neither a file of somebody's nor a link is written over; 0600 from the first moment on.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise RemedyError(
            "the file is there already, and was left alone", where=str(path), next_step="name another file"
        ) from error
    except OSError as error:
        raise InputError("the bundle cannot be written", where=str(path), why=error.strerror) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise InputError("the bundle cannot be written", where=str(path), why=error.strerror) from error


def check_absent(path: Path) -> None:
    """Say that the file is there before a long watch begins. Raises RemedyError."""
    if os.path.lexists(path):
        raise RemedyError(
            "the file is there already, and was left alone", where=str(path), next_step="name another file"
        )


def _documents(facts: HostFacts, diagnosis: Diagnosis, state_directory: Path) -> Iterator[tuple[str, Any]]:
    yield "facts.json", redact(facts.model_dump(mode="json", by_alias=True))
    yield "diagnosis.json", redact(diagnosis.model_dump(mode="json", by_alias=True))
    yield "versions.json", _versions(facts)
    yield "state.json", list(_listing(state_directory))
    yield from _runs(state_directory / "runs")


def _versions(facts: HostFacts) -> dict[str, Any]:
    packages = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {
        "remedy": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "facts by remedy": facts.remedy_version,
        "kernel": facts.host.kernel,
        "engine": facts.engine.version,
        "iptables": facts.firewall.iptables_version,
        "nft": facts.firewall.nft_version,
    }


def _listing(directory: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(directory.rglob("*")) if directory.is_dir() else ():
        with suppress(OSError):
            status = path.lstat()
            yield {"name": str(path.relative_to(directory)), "bytes": status.st_size, "mode": f"{status.st_mode:o}"}


def _runs(directory: Path) -> Iterator[tuple[str, Any]]:
    """The newest runs; their names begin with the time."""
    names = (
        sorted((path.name for path in directory.iterdir() if path.is_dir()), reverse=True) if directory.is_dir() else []
    )
    for name in names[:MOST_RUNS]:
        for file in ("plan.json", "journal.jsonl"):
            text = _read(directory / name / file)
            if text is not None:
                yield (
                    f"runs/{name}/{file}",
                    [_line(line) for line in text.splitlines()] if file.endswith("l") else _line(text),
                )


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace")
    except OSError:
        return None


def _line(text: str) -> Any:
    try:
        return redact(json.loads(text))
    except ValueError:
        return "(not JSON: a line that a kill cut short)"


def _as_json(documents: dict[str, Any]) -> bytes:
    return json.dumps({"README": README.splitlines(), **documents}, indent=1).encode() + b"\n"


def _as_archive(documents: dict[str, Any]) -> bytes:
    target = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        _add(archive, "README", README.encode())
        for name, content in documents.items():
            if name.endswith(".jsonl"):
                _add(archive, name, b"".join(json.dumps(line).encode() + b"\n" for line in content))
            else:
                _add(archive, name, json.dumps(content, indent=1).encode() + b"\n")
    return target.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(f"remedy-bundle/{name}")
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))
