"""The raw reads of a plan: what gathering facts asks the engine and other programs, asked again by nothing else.

They are recorded while facts are gathered once, so that they are always those that remedy does today. Then they are
done again, as many side by side, and their answers are dropped. Left out is what remedy reads by itself (conntrack,
sockets, /proc): that counts as remedy's own time, so the difference to a plan is never flattered.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from remedy.facts.engine_api import DEFAULT_ENDPOINT
from remedy.host.namespaces import run_in_opened_namespace

WORKERS = 8  # as many as remedy.facts.gathering has
TIMEOUT_SECONDS = 30.0

_NAMESPACE = "/proc/thread-self/ns/net"
_SOCKET = DEFAULT_ENDPOINT.removeprefix("unix://")


@dataclass(frozen=True, slots=True)
class Program:
    """A program that was run: how, and in which network namespace (an open descriptor, None for the host's)."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    namespace: int | None


@dataclass(slots=True)
class RawReads:
    """What was read, in the order in which it was asked for."""

    requests: list[str] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)

    def repeat(self) -> float:
        """Do them all again; the seconds that it took."""
        reads: list[Callable[[], object]] = [_asking(path) for path in self.requests]
        reads += [_running(program) for program in self.programs]
        began = time.perf_counter()
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda read: read(), reads))
        return time.perf_counter() - began


@contextmanager
def recorded_reads() -> Iterator[RawReads]:
    """Record what is read within a `with` block."""
    reads, lock = RawReads(), threading.Lock()
    run, put_request = subprocess.run, http.client.HTTPConnection.putrequest
    home = os.stat(_NAMESPACE).st_ino  # noqa: PTH116

    def recording_run(*arguments: Any, **options: Any) -> Any:
        program = Program(arguments, options, _namespace_if_other(home))
        with lock:
            reads.programs.append(program)
        return run(*arguments, **options)

    def recording_request(connection: Any, method: str, url: str, *rest: Any, **options: Any) -> None:
        with lock:
            reads.requests.append(url)
        put_request(connection, method, url, *rest, **options)

    with (
        patch.object(subprocess, "run", recording_run),
        patch.object(http.client.HTTPConnection, "putrequest", recording_request),
    ):
        yield reads


def _namespace_if_other(home: int) -> int | None:
    """The calling thread's network namespace, kept open for the repetition; None for the one we are at home in."""
    descriptor = os.open(_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    if os.fstat(descriptor).st_ino != home:
        return descriptor
    os.close(descriptor)
    return None


def _asking(path: str) -> Callable[[], object]:
    def ask() -> object:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.sock.settimeout(TIMEOUT_SECONDS)
            connection.sock.connect(_SOCKET)
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    return ask


def _running(program: Program) -> Callable[[], object]:
    def run() -> object:
        return subprocess.run(*program.arguments, **program.options)  # noqa: PLW1510 - as recorded

    namespace = program.namespace
    return run if namespace is None else lambda: run_in_opened_namespace(namespace, run)
