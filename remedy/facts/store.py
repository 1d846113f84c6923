"""Facts as a file: written on one host, planned on another, attached to a bug report."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from remedy.errors import InputError
from remedy.facts.model import FORMAT_VERSION, HostFacts

_MARK = ("engine", "containers", "namespaces", "firewall")
_NEXT_STEP = "write it again on the host: remedy facts -o FILE"


def save_facts(facts: HostFacts, path: str | Path) -> None:
    """Write facts to a file that only its owner may read, whole or not at all. Raises InputError."""
    target = Path(path)
    # ASCII only: labels and names are other people's text, and somebody will `cat` this file.
    text = json.dumps(facts.model_dump(mode="json"), indent=1) + "\n"
    try:
        # mkstemp makes the file 0600 from the first moment on.
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError("the facts cannot be written", where=str(target), why=error.strerror) from error


def load_facts(path: str | Path) -> HostFacts:
    """Read facts from a file. Raises InputError that names the file and what is wrong with it."""
    where = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError("the facts file cannot be read", where=where, why=error.strerror) from error
    except UnicodeDecodeError as error:
        raise _not_facts(where, "it is not text") from error
    return parse_facts(text, where)


def parse_facts(text: str, where: str = "facts") -> HostFacts:
    """Read facts from their JSON text. Raises InputError."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(text, where, error) from error
    if not isinstance(content, dict) or not any(key in content for key in _MARK):
        raise _not_facts(where, "it does not describe a host")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(
            f"the facts have format version {version!r}, this remedy reads {FORMAT_VERSION}",
            where=where,
            next_step=_NEXT_STEP,
        )
    try:
        return HostFacts.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            "the facts are incomplete or damaged", where=where, why=_first_errors(error), next_step=_NEXT_STEP
        ) from error


def _broken(text: str, where: str, error: Exception) -> InputError:
    if not text.strip():
        return _not_facts(where, "it is empty")
    if not isinstance(error, json.JSONDecodeError):
        return _not_facts(where, str(error) or "it is nested too deeply")
    place = f"{where}:{error.lineno}:{error.colno}"
    truncated = text.lstrip().startswith("{") and not text.rstrip().endswith("}")
    if truncated:
        return InputError("the facts file is truncated", where=place, why=error.msg, next_step=_NEXT_STEP)
    return _not_facts(place, f"it is not JSON: {error.msg}")


def _not_facts(where: str, why: str) -> InputError:
    return InputError("this is not a facts file", where=where, why=why, next_step=_NEXT_STEP)


def _first_errors(error: ValidationError, most: int = 3) -> str:
    errors = error.errors(include_url=False, include_input=False)
    shown = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in errors[:most]]
    rest = [f"and {len(errors) - most} more"] if len(errors) > most else []
    return "; ".join([*shown, *rest])
