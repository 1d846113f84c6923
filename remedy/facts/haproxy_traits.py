"""How a haproxy can be spoken to and reloaded: from its command line and its global sections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from remedy.facts.model import HaproxySocket
from remedy.haproxy_cfg.words import split

Level = Literal["user", "operator", "admin"]
_LEVELS = ("user", "operator", "admin")
_MASTER_WORKER_OPTIONS = frozenset({"-W", "-Ws"})
_MAY_MATTER = re.compile(r"\s*[\"']?(?:stats|master-worker|hard-stop-after|no)\b")
_UNIX_PREFIX = "unix@"
_NETWORK_PREFIX = re.compile(r"^(?:tcp[46]?|ipv[46])@")
MAXIMUM_SOCKETS = 64


@dataclass(slots=True)
class Traits:
    """What was found so far, over all files: of a keyword given twice the last counts, as with haproxy."""

    sockets: list[HaproxySocket] = field(default_factory=list)
    is_master_worker: bool = False
    hard_stop_after: str | None = None

    def read(self, text: str, environment: Mapping[str, str]) -> None:
        """Read one file. These words stand in `global` alone, so sections need not be told apart."""
        for line in text.splitlines():
            if not _MAY_MATTER.match(line):
                continue
            try:
                words = [word.value for word in split(line, environment)]
            except ValueError:
                continue
            self._read_line(words)

    def _read_line(self, words: Sequence[str]) -> None:
        match words:
            case ["stats", "socket", address, *options] if len(self.sockets) < MAXIMUM_SOCKETS:
                self.sockets.append(HaproxySocket(address=socket_address(address), level=_level(options)))
            case ["master-worker", *_]:
                self.is_master_worker = True
            case ["no", "master-worker", *_]:
                self.is_master_worker = False
            case ["hard-stop-after", time, *_]:
                self.hard_stop_after = time


def socket_address(text: str) -> str:
    """A path, or ADDRESS:PORT, without haproxy's prefixes; what is neither stays as it is (abns@, fd@)."""
    return _NETWORK_PREFIX.sub("", text.removeprefix(_UNIX_PREFIX))


def has_master_worker_option(arguments: Sequence[str]) -> bool:
    """Whether haproxy was started with -W or -Ws."""
    return any(argument in _MASTER_WORKER_OPTIONS for argument in arguments[1:])


def master_socket(arguments: Sequence[str]) -> str | None:
    """The address of the master CLI (-S ADDRESS[,OPTION...]), None without one."""
    for position, argument in enumerate(arguments[:-1]):
        if argument == "-S":
            return socket_address(arguments[position + 1].partition(",")[0])
    return None


def _level(options: Sequence[str]) -> Level:
    for position, option in enumerate(options[:-1]):
        if option == "level" and options[position + 1] in _LEVELS:
            return cast("Level", options[position + 1])
    return "operator"
