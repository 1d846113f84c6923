"""Another process's TCP connections, looked at and closed from outside by a duplicate of its descriptor.

pidfd_getfd came with Linux 5.6 and wants the right to trace the process (root has it, unless ptrace is forbidden
altogether). Where it is not to be had the functions find no connections, and nothing is closed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PIDFD_GETFD = 438  # the same on every architecture
_TCP_INFO_SIZE = 60
# linux/tcp.h, struct tcp_info: state, milliseconds since data was sent and since data was received.
_TCP_INFO = struct.Struct("=B43xIxxxxI")
_ESTABLISHED = 1


@dataclass(frozen=True, slots=True)
class Quiet:
    """How a connection stands. is_answered: the last who spoke was this side."""

    is_established: bool
    is_answered: bool
    milliseconds: int  # since anything was said in either direction
    unheard: int = 0  # milliseconds since the other end said anything


class BorrowedSocket:
    """A duplicate of a process's connected TCP socket."""

    def __init__(self, duplicate: socket.socket) -> None:
        self._socket = duplicate

    @property
    def local(self) -> tuple[str, int]:
        """Its own address and port. Raises OSError."""
        return _end(self._socket.getsockname())

    @property
    def remote(self) -> tuple[str, int]:
        """The other end's. Raises OSError when it is not connected (any more)."""
        return _end(self._socket.getpeername())

    def quiet(self) -> Quiet:
        """What the kernel knows of its silence. Raises OSError."""
        state, sent, received = _TCP_INFO.unpack(
            self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)[: _TCP_INFO.size]
        )
        # What is sent and not acknowledged says nothing: acknowledgements wait for the next request.
        unread = struct.unpack("=i", fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, bytes(4)))[0]
        return Quiet(
            is_established=state == _ESTABLISHED,
            is_answered=sent <= received and not unread,
            milliseconds=min(sent, received),
            unheard=received,
        )

    def close_orderly(self) -> None:
        """Say that nothing more comes (FIN), as the process itself would. Raises OSError."""
        self._socket.shutdown(socket.SHUT_WR)


def socket_descriptors(pid: int) -> list[int]:
    """The numbers of a process's descriptors that are sockets; none when it is gone."""
    directory = Path(f"/proc/{pid}/fd")
    found = []
    with suppress(OSError):
        for name in os.listdir(directory):  # noqa: PTH208
            with suppress(OSError):
                if os.readlink(f"{directory}/{name}").startswith("socket:"):  # noqa: PTH115
                    found.append(int(name))
    return found


def borrow(pid: int, descriptors: Iterable[int]) -> Iterator[tuple[int, BorrowedSocket]]:
    """Give each of these descriptors of a process that is a connected TCP socket, with its number.

    The duplicate lives for one turn of the loop: as long as it does, the process cannot really close its own.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        for number in descriptors:
            with _duplicate(pidfd, number) as found:
                if found is not None and _is_connected_tcp(found):
                    yield number, BorrowedSocket(found)
    finally:
        os.close(pidfd)


@contextmanager
def _duplicate(pidfd: int, number: int) -> Iterator[socket.socket | None]:
    copy = ctypes.CDLL(None).syscall(_PIDFD_GETFD, pidfd, number, 0)
    if copy < 0:
        yield None
        return
    try:
        duplicate = socket.socket(fileno=copy)
    except OSError:  # closed meanwhile, and the number is something else now
        os.close(copy)
        yield None
        return
    with duplicate:
        yield duplicate


def _is_connected_tcp(candidate: socket.socket) -> bool:
    if candidate.type != socket.SOCK_STREAM or candidate.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        candidate.getpeername()
    except OSError:
        return False
    return True


def _end(name: tuple[str, int] | tuple[str, int, int, int]) -> tuple[str, int]:
    return name[0].removeprefix("::ffff:"), name[1]
