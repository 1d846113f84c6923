"""Find, read and check remedy.yaml. Every fault is reported with its place, all of them at once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from remedy.errors import SpecError
from remedy.spec.document import Document, read_document, spell
from remedy.spec.expectations import MISSING, problem_of
from remedy.spec.models import Backend, Spec
from remedy.spec.problems import InvalidSpecError, Position, Problem, problem_error

MAX_BYTES = 256 * 1024
USUAL_PLACE = Path("/etc/remedy/remedy.yaml")
DEFAULT_PATHS = (Path("remedy.yaml"), USUAL_PLACE)


def find_spec_if_any() -> Path | None:
    """Return ./remedy.yaml or /etc/remedy/remedy.yaml, whichever is there first."""
    return next((path for path in DEFAULT_PATHS if os.path.lexists(path)), None)


def find_spec(explicit: Path | None) -> Path:
    """Return the remedy.yaml in force: the explicit one, else the first default that is there.

    Raises SpecError when there is none.
    """
    found = explicit or find_spec_if_any()
    if found is None:
        raise SpecError(
            "there is no remedy.yaml",
            why=f"looked for {' and '.join(f'./{p}' if not p.is_absolute() else str(p) for p in DEFAULT_PATHS)}",
            next_step="remedy init writes one that fits this host; --config names another place",
        )
    return found


def load_spec(path: Path | str) -> Spec:
    """Read and check a remedy.yaml. Raises SpecError with file:line:column of everything that is wrong."""
    name = str(path)
    return parse_spec(_decode(_read(Path(path), name), name), name)


def with_place(error: SpecError, path: Path | str) -> SpecError:
    """Return an error about a key of this file, whose `where` is the key, with file:line:column. Raises SpecError."""
    name = str(path)
    document = read_document(_decode(_read(Path(path), name), name), name)
    place = next((found for key, found in document.values.items() if spell(key) == error.where), None)
    located = InvalidSpecError([Problem(name, place, error.where or "", error.what)], next_step=error.next_step)
    located.why = error.why
    return located


def parse_spec(text: str, filename: str) -> Spec:
    """Check the text of a remedy.yaml. Raises SpecError as `load_spec` does."""
    document = read_document(text, filename)
    if document.value is None:
        raise problem_error(
            "the file is empty", filename, next_step="remedy init --force writes one that fits this host"
        )
    if not isinstance(document.value, dict):
        raise problem_error("expected keys at the top (version: 1 ...)", filename, document.place_of_value(()))
    _check_version(document)
    try:
        spec = Spec.model_validate(document.value)
    except ValidationError as error:
        raise InvalidSpecError(_problems(error, document)) from error
    duplicates = list(_duplicates(spec, document))
    if duplicates:
        raise InvalidSpecError(duplicates)
    return spec


def spec_digest(spec: Spec) -> str:
    """Return a digest of what the spec says, however its file is written."""
    said = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(error, name) from error
    if len(content) > MAX_BYTES:
        raise SpecError(f"larger than {MAX_BYTES // 1024} KiB: this is no remedy.yaml", where=name)
    return content


def _unreadable(error: OSError, name: str) -> SpecError:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return SpecError(
                "there is no such file", where=name, next_step="remedy init writes one that fits this host"
            )
        case errno.EISDIR:
            return SpecError("this is a directory", where=name, next_step=f"--config {name}/remedy.yaml")
        case errno.EACCES | errno.EPERM:
            return SpecError("no permission to read it", where=name, next_step="run as root, or chmod a+r")
    return SpecError("cannot be read", where=name, why=error.strerror or str(error))


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
        what = f"not UTF-8: byte 0x{content[error.start]:02x}"
        raise problem_error(what, name, Position(line, column), next_step="save the file as UTF-8") from error


def _problems(error: ValidationError, document: Document) -> list[Problem]:
    problems = [problem_of(found, document) for found in error.errors()]
    # A misspelt key is one fault, not two: leave out that the right spelling is missing.
    meant = {f"{p.key.rpartition('.')[0]}.{p.did_you_mean}".lstrip(".") for p in problems if p.did_you_mean}
    return [problem for problem in problems if problem.what != MISSING or problem.key not in meant]


def _check_version(document: Document) -> None:
    # Alone and first: what follows in a file of another version means something else.
    version = document.value.get("version")
    if type(version) is int and version == 1:
        return
    if "version" not in document.value:
        raise problem_error(
            MISSING,
            document.file,
            document.place_of_value(()),
            key="version",
            next_step="write `version: 1` in the first line",
        )
    place = document.place_of_value(("version",))
    raise problem_error(
        f"this remedy reads version 1, not {json.dumps(version)}",
        document.file,
        place,
        key="version",
        next_step="write `version: 1`, or install the remedy that the file was written for",
    )


def _duplicates(spec: Spec, document: Document) -> Iterator[Problem]:
    """Find backends that name the same containers and port twice in so many words."""
    seen: dict[tuple[object, ...], str] = {}
    for index, backend in enumerate(spec.backends):
        for path, name in _names(backend):
            where = ("backends", index, *path)
            key = (name, backend.port, backend.protocol)
            if key in seen:
                what = f"port {backend.port}/{backend.protocol} of it is named already by {seen[key]}"
                yield Problem(document.file, document.place_of_value(where), spell(where), what)
            else:
                seen[key] = spell(where)


def _names(backend: Backend) -> Iterator[tuple[tuple[str | int, ...], object]]:
    if backend.containers is not None:
        yield from ((("containers", index), name) for index, name in enumerate(backend.containers))
    elif backend.label is not None:
        yield ("label",), ("label", backend.label)
    else:
        yield (), ("service", backend.project, backend.service)
