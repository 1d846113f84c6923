"""The engine as something that is told to reload or restart, and asked what it runs with."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from remedy.errors import CommandError, EngineError, RemedyError
from remedy.facts.engine_api import EngineApi
from remedy.facts.model import Address
from remedy.host.commands import run_command

UNIT = "docker.service"
RESTART_TIMEOUT_SECONDS = 120.0  # the unit's own start timeout is 90 s by default
ANSWER_TIMEOUT_SECONDS = 60.0
RELOAD_TIMEOUT_SECONDS = 10.0
SETTLE_TIMEOUT_SECONDS = 90.0
RUNNING = ("running", "paused")  # states in which a container has its addresses and ports


def wait_until(condition: Callable[[], bool], *, seconds: float, interval: float = 0.02) -> bool:
    """Ask again and again until the condition holds; False when it did not within `seconds`.

    RemedyErrors that the condition raises count as "not yet".
    """
    from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

    attempts = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(interval),
        retry=retry_if_result(lambda held: not held) | retry_if_exception_type(RemedyError),
    )
    try:
        return bool(attempts(condition))
    except RetryError:
        return False


@dataclass(frozen=True, slots=True)
class Engine:
    """One local engine, reached by its socket and driven by its systemd unit."""

    socket: str
    unit: str = UNIT

    def info(self) -> dict[str, Any]:
        """`docker info`. Raises EngineError."""
        api = EngineApi(self.socket)
        try:
            return api.info()
        finally:
            api.close()

    def answers(self) -> bool:
        """Whether the engine answers now."""
        try:
            self.info()
        except RemedyError:
            return False
        return True

    def live_restore(self) -> bool:
        """Whether live-restore is on effectively. Raises EngineError."""
        return bool(self.info().get("LiveRestoreEnabled"))

    def container_addresses(self) -> dict[str, frozenset[Address]]:
        """The addresses that each running container has now, on all its networks. Raises EngineError."""
        api = EngineApi(self.socket)
        try:
            listed = api.containers()
        finally:
            api.close()
        return {
            str(name).lstrip("/"): frozenset(_addresses(container))
            for container in listed
            if container["State"] in RUNNING
            for name in container["Names"]
        }

    def reload(self, *, live_restore: bool) -> None:
        """SIGHUP, and wait until `docker info` says so.

        Raises EngineError when the engine does not take it: 26 and later reject a reload as a whole when any
        key is refused, and go on with what they had.
        """
        pid = self.main_pid()
        if pid is None or not _is_alive(pid):
            raise EngineError("the engine's process is not known to systemd", where=self.unit)
        os.kill(pid, signal.SIGHUP)
        # The process first: a question to the socket of a dead engine waits until systemd has started the next one.
        took_it = wait_until(
            lambda: not _is_alive(pid) or self.live_restore() is live_restore,
            seconds=RELOAD_TIMEOUT_SECONDS,
            interval=0.05,
        )
        if not _is_alive(pid):
            raise EngineError("the engine died while it was told to reload", where=self.unit, why=self.last_words())
        if not took_it:
            raise EngineError(
                f"the engine did not take live-restore {'on' if live_restore else 'off'} by SIGHUP",
                where=self.unit,
                why=self.last_words(),
                next_step=f"journalctl -u {self.unit} says what it rejected",
            )

    def restart(self) -> float:
        """Restart (or start) the engine and wait until it answers; the seconds that it took.

        systemd allows a few starts per minute and does not tell how many are left: the counter is cleared first.
        Raises EngineError when it does not come back.
        """
        began = time.monotonic()
        run_command(["systemctl", "reset-failed", self.unit], check=False)
        try:
            run_command(["systemctl", "restart", self.unit], timeout=RESTART_TIMEOUT_SECONDS)
        except CommandError as error:
            raise EngineError(
                "the engine did not come back after its restart",
                where=self.unit,
                why=self.last_words() or error.why,
                next_step=f"journalctl -u {self.unit}",
            ) from error
        if not wait_until(self.answers, seconds=ANSWER_TIMEOUT_SECONDS, interval=0.05):
            raise EngineError("the engine was started and does not answer", where=self.socket, why=self.last_words())
        return time.monotonic() - began

    def settle(self) -> None:
        """Wait while the unit is starting or stopping, as after a kill in the middle of a restart."""
        wait_until(self._is_settled, seconds=SETTLE_TIMEOUT_SECONDS, interval=0.1)

    def validate(self, content: bytes, path: Path) -> None:
        """Let the engine's own binary check what daemon.json would be (23.0 and later). Raises EngineError."""
        # A file in memory: a kill leaves nothing of it behind.
        with os.fdopen(os.memfd_create("daemon.json"), "wb") as candidate:
            candidate.write(content)
            candidate.flush()
            name = f"/proc/{os.getpid()}/fd/{candidate.fileno()}"
            done = run_command(["dockerd", "--validate", "--config-file", name], check=False)
        if done.status != 0:
            raise EngineError(
                "dockerd rejects what daemon.json would be",
                where=str(path),
                why=(done.stderr or done.stdout).strip().replace(name, str(path))[-500:],
                next_step="correct daemon.json first; nothing was changed",
            )

    def start_containers(self, names: tuple[str, ...]) -> None:
        """Start those of these containers that do not run. Raises EngineError."""
        from docker.api.client import APIClient
        from docker.errors import DockerException

        client = APIClient(base_url=self.socket, version="auto", timeout=60)
        try:
            for name in names:
                client.start(name)
        except DockerException as error:
            raise EngineError(f"the container {name} does not start", why=str(error)) from error
        finally:
            client.close()

    def last_words(self) -> str | None:
        """The last lines that the engine logged, for an error message."""
        try:
            done = run_command(["journalctl", "-u", self.unit, "-n", "4", "-o", "cat", "--no-pager"], check=False)
        except RemedyError:
            return None
        return done.stdout.strip()[-600:] or None

    def _is_settled(self) -> bool:
        shown = run_command(["systemctl", "show", "-p", "ActiveState,Job", self.unit], check=False).stdout
        properties = dict(line.partition("=")[::2] for line in shown.splitlines())
        # A job waits in the queue: `systemctl restart` of a killed remedy whose stop has not begun.
        is_moving = properties.get("ActiveState") in ("activating", "deactivating", "reloading")
        return not is_moving and properties.get("Job", "") in ("", "0")

    def main_pid(self) -> int | None:
        """The process that systemd knows as the engine; None while there is none. Raises CommandError."""
        shown = run_command(["systemctl", "show", "-p", "MainPID", "--value", self.unit]).stdout.strip()
        return int(shown) if shown.isdigit() and shown != "0" else None


def _is_alive(pid: int) -> bool:
    try:
        # A killed process that systemd has not reaped yet is dead all the same.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def _addresses(container: Mapping[str, Any]) -> Iterator[Address]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    for endpoint in networks.values():
        for key in ("IPAddress", "GlobalIPv6Address"):
            if endpoint.get(key):
                yield ip_address(endpoint[key])
