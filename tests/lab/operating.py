"""Working a lab host as its operator does: by the command line, from a directory with a remedy.yaml in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from state import State, host_state

from remedy.host.commands import Completed
from remedy.lab import Host

DIRECTORY = "/root/operator"
STATE_DIRECTORY = "/var/lib/remedy"


class Operator:
    """Runs remedy on one lab host, and looks into its journal."""

    def __init__(self, host: Host, spec: str | None = None) -> None:
        """spec: the text of remedy.yaml; without one, what `remedy init` proposes."""
        self.host = host
        if spec is None:
            host.run(["mkdir", "-p", DIRECTORY])
            self.remedy("init", "-o", "remedy.yaml", "--force", check=True)
        else:
            host.write_file(f"{DIRECTORY}/remedy.yaml", spec)

    def command(self, *arguments: str) -> list[str]:
        """The argument list of a remedy that works in the operator's directory."""
        return ["env", "-C", DIRECTORY, "remedy", *arguments]

    def remedy(
        self, *arguments: str, check: bool = False, timeout: float = 150, env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run remedy to its end."""
        return self.host.run(self.command(*arguments), check=check, timeout=timeout, env=env)

    def json(self, *arguments: str) -> dict[str, Any]:
        """What remedy answers with --format json, whatever its exit code."""
        done = self.remedy(*arguments, "--format", "json")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def start(self, *arguments: str, **streams: Any) -> Running:
        """Start remedy without waiting. streams: stdin, stdout, stderr as for Popen."""
        return Running(self, self.command(*arguments), **streams)

    def start_killing_itself(self, at: int, *arguments: str) -> Running:
        """Start a remedy that is killed just before its touch number `at`; see SELF_KILLING."""
        self.host.write_file(f"{DIRECTORY}/self_killing.py", SELF_KILLING)
        return Running(self, ["env", "-C", DIRECTORY, f"KILL_AT={at}", sys.executable, "self_killing.py", *arguments])

    def start_on_terminal(self, *arguments: str) -> Terminal:
        """Start remedy on a terminal of its own, as its controlling one."""
        return Terminal(self, ["setsid", "--ctty", "--wait", *self.command(*arguments)])

    def runs(self) -> list[Path]:
        """The directories of the runs, oldest first, as seen from the machine."""
        directory = self.host.root / STATE_DIRECTORY.lstrip("/") / "runs"
        return sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns) if directory.is_dir() else []

    def records(self) -> list[dict[str, Any]]:
        """The journal of the newest run that has one, be it empty."""
        for directory in reversed(self.runs()):
            with suppress(FileNotFoundError):
                lines = (directory / "journal.jsonl").read_text().splitlines()
                return [json.loads(line) for line in lines if line.endswith("}")]
        return []

    def events(self) -> list[str]:
        """The journal's events, "intent userland_proxy"."""
        return [f"{record['event']} {record['action'] or ''}".strip() for record in self.records()]

    def wait_for(self, event: str, *, running: Running | None = None, seconds: float = 60.0, known: int = 0) -> bool:
        """Until the newest journal has this event among the records after the first `known`; False: it ended first."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if event in self.events()[known:]:
                return True
            if running is not None and running.has_ended:
                return False
            time.sleep(0.0005)
        raise TimeoutError(f"{event!r} did not appear in {seconds} s: {self.events()}")

    def wait_for_new_run(self, known: int, running: Running, seconds: float = 60.0) -> None:
        """Until there is a journal beside those of the `known` runs."""
        deadline = time.monotonic() + seconds
        while not running.has_ended and time.monotonic() < deadline:
            runs = self.runs()
            if len(runs) > known and (runs[-1] / "journal.jsonl").exists():
                return
            time.sleep(0.001)
        raise AssertionError(f"no run was begun: {running.wait()}")

    def apply_until(self, record: str) -> Running:
        """Start apply, and come back at this record of its journal."""
        runs = len(self.runs())
        running = self.start("apply", "--yes")
        self.wait_for_new_run(runs, running)
        assert self.wait_for(record, running=running)
        return running

    def wait_for_traffic(self, before: State, seconds: float = 20.0) -> None:
        """After a boot: until every connection that worked before works again, or the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            now = host_state(self.host)["traffic"]
            if all(now.get(key) for key, worked in before["traffic"].items() if worked):
                return
            time.sleep(0.3)


class Running:
    """A remedy at work inside the host."""

    def __init__(self, operator: Operator, command: Sequence[str], **streams: Any) -> None:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **streams}
        self.started = time.monotonic()
        self.process = operator.host.popen(command, **streams)

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self.process.poll() is not None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to remedy itself (nsenter, which started it, is its parent)."""
        for child in self._children(self.process.pid):
            os.kill(child, number)

    @contextmanager
    def held_still(self) -> Iterator[None]:
        """It does not run meanwhile (SIGSTOP), and holds what it holds: on a busy machine it would end too soon."""
        self.kill(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)  # nsenter stops itself when its child is stopped
            self.kill(signal.SIGCONT)

    def wait(self, timeout: float = 150) -> tuple[int, str]:
        """Exit code (minus the signal's number when it was killed) and output."""
        output, _ = self.process.communicate(timeout=timeout)
        code = self.process.returncode
        return code, (output or b"").decode(errors="replace")

    @staticmethod
    def _children(pid: int) -> list[int]:
        try:
            return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except FileNotFoundError:
            return []


class Terminal(Running):
    """A remedy that a person started in a window; leaving the `with` block closes the window."""

    def __init__(self, operator: Operator, command: Sequence[str]) -> None:
        self._window, inside = os.openpty()
        super().__init__(operator, command, stdin=inside, stdout=inside, stderr=inside)
        os.close(inside)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._window)

    def read_until(self, text: str) -> str:
        """What stands on the screen once this text does, or remedy has ended."""
        screen = ""
        while text not in screen:
            try:
                screen += os.read(self._window, 4096).decode(errors="replace")
            except OSError:  # nobody has it open any more
                break
        return screen


# A remedy that kills itself, kill -9, just before the Nth thing that it does to the host once its journal is open: a
# file opened for writing, renamed or removed, a program started, a signal sent (CPython's audit events). So a test can
# go through them one by one, and what fails comes again with the same number. With KILL_AT=0 it lives. At its end it
# says how many there were.
SELF_KILLING = """\
import os, signal, sys, threading

at = int(os.environ["KILL_AT"])
WRITES = os.O_WRONLY | os.O_RDWR
ALWAYS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "subprocess.Popen", "os.kill"}
seen, begun = 0, False

def is_touch(event, arguments):
    return event in ALWAYS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES)

def hook(event, arguments):
    global seen, begun
    if event == "open" and str(arguments[0]).endswith("/journal.jsonl") and arguments[2] & WRITES:
        begun = True
    elif begun and is_touch(event, arguments):
        seen += 1
        if seen == at:
            os.write(2, f"KILLED before {seen}: {event} {arguments!r}\\n"[:300].encode())
            os.kill(os.getpid(), signal.SIGKILL)

import remedy.cli.main
sys.addaudithook(hook)
try:
    remedy.cli.main.main(sys.argv[1:])
finally:
    os.write(2, f"TOUCHES {seen}\\n".encode())
"""
