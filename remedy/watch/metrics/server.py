"""Offers the metrics: one short HTTP answer for each connection, from threads of its own.

Who asks may be slow, silent or hostile: there are few threads, each gives up after a few seconds whatever comes, and
who finds all of them at work is turned away. The watcher's loop knows nothing of it.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from remedy.errors import InputError
from remedy.watch.metrics.address import UNIX, LoopbackAddress, MetricsAddress, SocketAddress

Text = Callable[[], bytes]
Warn = Callable[[str], None]

AT_ONCE = 4
PATIENCE_SECONDS = 5.0  # for the question and the answer together
MOST_BYTES = 8192  # of a question
RETRY_SECONDS = 30.0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class MetricsServer:
    """Listens at one address until the process ends. A place that is taken is tried again: rules matter more."""

    def __init__(self, address: MetricsAddress, text: Text, content_type: str, warn: Warn) -> None:
        self._address = address
        self._text = text
        self._content_type = content_type
        self._warn = warn
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._listener: socket.socket | None = None
        self._is_closed = False

    def start(self) -> None:
        """Answer, in threads."""
        try:
            self._listener = listen_at(self._address)
        except InputError as error:
            self._warn(f"{' '.join(str(error).split())}; tried again every {RETRY_SECONDS:.0f} s")
        threading.Thread(target=self._serve, name="remedy-metrics", daemon=True).start()

    def close(self) -> None:
        """Listen no more, and leave no socket behind."""
        self._is_closed = True
        if self._listener is not None:
            self._listener.close()
            if isinstance(self._address, SocketAddress):
                with suppress(OSError):
                    self._address.path.unlink()

    def _serve(self) -> None:
        while self._listener is None:
            time.sleep(RETRY_SECONDS)
            with suppress(InputError):
                self._listener = listen_at(self._address)
        while not self._is_closed:
            try:
                channel, _ = self._listener.accept()
            except OSError:
                time.sleep(1)  # no descriptor is left: some will be
                continue
            if self._free.acquire(blocking=False):
                threading.Thread(target=self._answer, args=(channel,), name="remedy-metrics", daemon=True).start()
            else:
                channel.close()

    def _answer(self, channel: socket.socket) -> None:
        try:
            with channel, suppress(OSError):
                self._talk(channel, time.monotonic() + PATIENCE_SECONDS)
        finally:
            self._free.release()

    def _talk(self, channel: socket.socket, until: float) -> None:
        question = b""
        while b"\r\n\r\n" not in question:
            channel.settimeout(max(until - time.monotonic(), 0.001))
            came = channel.recv(MOST_BYTES)
            question += came
            if not came or len(question) > MOST_BYTES:
                return
        channel.settimeout(max(until - time.monotonic(), 0.001))
        channel.sendall(self._reply(question))
        channel.shutdown(socket.SHUT_WR)

    def _reply(self, question: bytes) -> bytes:
        method, _, rest = question.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method not in (b"GET", b"HEAD"):
            return _http("405 Method Not Allowed", b"", "Allow: GET, HEAD\r\n")
        if path not in (b"/metrics", b"/"):
            return _http("404 Not Found", b"the metrics are at /metrics\n")
        body = self._text()
        return _http("200 OK", body, f"Content-Type: {self._content_type}\r\n", is_head=method == b"HEAD")


def _http(status: str, body: bytes, headers: str = "", *, is_head: bool = False) -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if is_head else body)


def listen_at(address: MetricsAddress) -> socket.socket:
    """A listening socket. Raises InputError."""
    try:
        if isinstance(address, LoopbackAddress):
            family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
            return socket.create_server((address.host, address.port), family=family, backlog=16)
        return _listen_at_path(address)
    except OSError as error:
        raise InputError(
            "the metrics cannot be offered",
            where=_named(address),
            why=error.strerror or str(error),
            next_step="name another place with --metrics",
        ) from error


def _listen_at_path(address: SocketAddress) -> socket.socket:
    """By the directory's descriptor, in which nobody else may write: nothing there is swapped under our hands."""
    directory = os.open(address.path.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_directory(address, os.fstat(directory))
        _remove_left_over(address, directory)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            os.fchmod(listener.fileno(), 0o600)  # what it is made with, whatever the umask
            listener.bind(f"/proc/self/fd/{directory}/{address.path.name}")
            os.chmod(address.path.name, 0o660, dir_fd=directory)
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        return listener
    finally:
        os.close(directory)


def _check_directory(address: SocketAddress, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & _OTHERS_WRITE:
        raise InputError(
            "the metrics' socket is not put where others may write",
            where=str(address.path.parent),
            why="somebody could put another socket in its place",
            next_step=f"--metrics {UNIX}/run/remedy/metrics.sock, in a directory of root's",
        )


def _remove_left_over(address: SocketAddress, directory: int) -> None:
    """A socket that nobody listens at any more. Never anything else. Raises InputError."""
    name = address.path.name
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise InputError(
            "something else is where the metrics' socket is to be",
            where=str(address.path),
            why="it is no socket, and remedy removes nothing of others'",
            next_step="remove it, or name another place with --metrics",
        )
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(f"/proc/self/fd/{directory}/{name}")
        except ConnectionRefusedError:
            os.unlink(name, dir_fd=directory)
            return
    raise InputError(
        "another process offers something there",
        where=str(address.path),
        why="it answers",
        next_step="name another place with --metrics",
    )


def _named(address: MetricsAddress) -> str:
    if isinstance(address, SocketAddress):
        return f"{UNIX}{address.path}"
    return f"[{address.host}]:{address.port}" if address.is_ipv6 else f"{address.host}:{address.port}"
