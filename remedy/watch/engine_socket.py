"""Two questions to the engine, asked over its socket: the docker SDK would be a quarter of the watcher's memory.

HTTP/1.0, to which a server answers without chunks and until it closes; and without a version in the path, which is the
engine's newest. What is taken of the answers is the same in every version (20.10 to 29).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from remedy.errors import EngineError

PATIENCE_SECONDS = 20.0
_LONGEST_LINE = 1 << 20  # of an event: labels are told, too


def list_containers(endpoint: str) -> list[dict[str, Any]]:
    """All containers, those that do not run included, as /containers/json has them. Raises EngineError."""
    try:
        with _answer(endpoint, "/containers/json?all=1") as (_channel, body):
            found = json.loads(body.read())
    except (OSError, ValueError) as error:
        raise _no_list(endpoint, str(error)) from error
    if not isinstance(found, list):
        raise _no_list(endpoint, "its answer is none")
    return found


@contextmanager
def events(endpoint: str, filters: Mapping[str, Sequence[str]]) -> Iterator[Iterator[dict[str, Any]]]:
    """Each event from now on; within, the subscription stands. Raises EngineError, OSError, ValueError."""
    with _answer(endpoint, f"/events?filters={quote(json.dumps(filters))}") as (channel, body):
        channel.settimeout(None)  # the next event may be a month away
        yield (json.loads(line) for line in iter(partial(body.readline, _LONGEST_LINE), b""))


@contextmanager
def _answer(endpoint: str, path: str) -> Iterator[tuple[socket.socket, BinaryIO]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(PATIENCE_SECONDS)
        channel.connect(endpoint.removeprefix("unix://"))
        channel.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        with channel.makefile("rb") as file:
            body = cast("BinaryIO", file)
            status = body.readline(_LONGEST_LINE).split(maxsplit=2)
            while body.readline(_LONGEST_LINE).strip():
                pass  # headers
            if len(status) < 2 or status[1] != b"200":
                raise _refusal(endpoint, status, body)
            yield channel, body


def _refusal(endpoint: str, status: list[bytes], body: BinaryIO) -> EngineError:
    said = body.read(500).decode(errors="replace").strip()
    return EngineError(
        "Docker does not answer as it should",
        where=endpoint,
        why=" ".join([*(word.decode(errors="replace").strip() for word in status[1:]), said]) or "it closed at once",
        next_step="systemctl status docker",
    )


def _no_list(endpoint: str, why: str) -> EngineError:
    return EngineError(
        "Docker does not give the list of containers", where=endpoint, why=why, next_step="systemctl status docker"
    )
