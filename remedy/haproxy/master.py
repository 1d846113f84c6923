"""Telling a haproxy to load its configuration again: by the master's own socket, by a signal, or by its unit."""

from __future__ import annotations

import os
import signal
from typing import Literal

from remedy.errors import CommandError, HaproxyError
from remedy.facts.haproxy import HAPROXY_PROGRAM
from remedy.facts.processes import read_program
from remedy.haproxy.running import RunningHaproxy, Whereabouts, identity_of
from remedy.haproxy.runtime_api import HaproxySocketAt
from remedy.host.commands import run_command

UNIT_SECONDS = 120.0
RELOAD_SECONDS = 60.0  # from 2.7 on it answers when the new workers have read their configuration
How = Literal["reload", "restart", "runtime"]


def load_again(place: Whereabouts, running: RunningHaproxy, how: How, master_socket: str | None) -> None:
    """Reload or restart. Raises HaproxyError, EngineError."""
    if place.unit is not None and place.container_id is None:
        _by_unit(place.unit, how)
    elif how == "restart" and place.container_id is not None:
        place.containers.restart(place.container_id)
    elif master_socket is not None:
        reload_by_socket(running, master_socket)
    else:
        reload_by_signal(running)


def reload_by_socket(running: RunningHaproxy, address: str) -> None:
    """The master CLI's `reload`, which says from 2.7 on whether the new workers came up. Raises HaproxyError."""
    try:
        answer = HaproxySocketAt(running, address).ask("reload", seconds=RELOAD_SECONDS)
    except HaproxyError as error:
        # Before 2.7 the master starts itself anew with the question unanswered, and the connection may be reset.
        if isinstance(error.__cause__, ConnectionResetError):
            return
        raise
    if answer.startswith("Success=0"):
        raise HaproxyError("haproxy did not load its configuration", where=address, why=answer[-600:])


def reload_by_signal(running: RunningHaproxy) -> None:
    """SIGUSR2 to the master, and to nobody who has its number by now. Raises HaproxyError."""
    try:
        descriptor = os.pidfd_open(running.pid)
    except ProcessLookupError as error:
        raise _gone(running) from error
    try:
        # From here on the number cannot become another process's unseen.
        if identity_of(running.pid) != running.master or read_program(running.pid) != HAPROXY_PROGRAM:
            raise _gone(running)
        signal.pidfd_send_signal(descriptor, signal.SIGUSR2)
    except ProcessLookupError as error:
        raise _gone(running) from error
    finally:
        os.close(descriptor)


def _by_unit(unit: str, how: How) -> None:
    verb = "restart" if how == "restart" else "reload"
    try:
        run_command(["systemctl", verb, unit], timeout=UNIT_SECONDS)
    except CommandError as error:
        raise HaproxyError(f"{unit} cannot be {verb}ed", why=error.why, next_step=f"journalctl -u {unit}") from error


def _gone(running: RunningHaproxy) -> HaproxyError:
    return HaproxyError(f"haproxy's process {running.pid} ended before it could be told to reload")
