"""Runs a shipped playbook by ansible-playbook, a program of its own, and reads what happens from its output.

Neither ansible-core as a library nor ansible-runner: docs/decisions/0013-fleet-commands.md.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from remedy.errors import CommandError, InputError, MissingExtraError
from remedy.fleet.answers import HostAnswers
from remedy.fleet.playbooks import COLLECTIONS, playbooks_directory

_PROGRAM = "ansible-playbook"
_LINES_KEPT = 200
_LINES_SHOWN = 10
_SECONDS_TO_END = 10


@dataclass(frozen=True, slots=True)
class Request:
    """Which hosts, and how they are reached. inventories: files, directories, or lists like "web1,web2"."""

    inventories: tuple[str, ...]
    limit: str | None = None
    extra_vars: tuple[str, ...] = ()
    forks: int | None = None
    ask_become_pass: bool = False
    ask_pass: bool = False
    ask_vault_pass: bool = False

    @property
    def asks(self) -> bool:
        """Whether Ansible will ask the operator for a password."""
        return self.ask_become_pass or self.ask_pass or self.ask_vault_pass

    def arguments(self) -> Iterator[str]:
        """Yield the options of ansible-playbook. `--name=value`, so that no value is taken for an option."""
        yield from (f"--inventory={inventory}" for inventory in self.inventories)
        if self.limit is not None:
            yield f"--limit={self.limit}"
        yield from (f"--extra-vars={text}" for text in self.extra_vars)
        if self.forks is not None:
            yield f"--forks={self.forks}"
        asked = {
            "--ask-become-pass": self.ask_become_pass,
            "--ask-pass": self.ask_pass,
            "--ask-vault-pass": self.ask_vault_pass,
        }
        yield from (option for option, wanted in asked.items() if wanted)


def play(
    playbook: str, request: Request, variables: Mapping[str, str], on_answers: Callable[[HostAnswers], None]
) -> HostAnswers:
    """Play a playbook ("plan") to its end, and return what the hosts answered.

    variables: the playbook's own, stronger than what the inventory says. on_answers: called after each event.
    Raises MissingExtraError without ansible-core, InputError for an inventory without a host that is meant,
    CommandError where Ansible does not get as far as a host.
    """
    program = find_program()
    _check_inventories(request)
    directory = playbooks_directory()
    path = str(directory / f"{playbook}.yml")
    command = [program, *request.arguments(), f"--extra-vars={json.dumps(dict(variables))}", path]
    answers = HostAnswers()
    said = _run(command, _environment(directory), request, lambda event: _take(answers, event, on_answers))
    shown = "\n".join(_reason(said))
    if not answers.ended:
        raise CommandError(
            f"{_PROGRAM} ended before it came to a host",
            # Without the variables: a password may be among them.
            where=shlex.join([program, *(f"--inventory={inventory}" for inventory in request.inventories), path]),
            why=shown or None,
            next_step="the inventory, the variables, or ansible.cfg, is where to look",
        )
    if not answers.hosts:
        raise InputError(
            "the inventory has no host that is meant",
            where=", ".join(request.inventories) + (f" --limit {request.limit}" if request.limit else ""),
            why=shown or None,
            next_step="ansible-inventory -i INVENTORY --list shows what Ansible makes of it",
        )
    return answers


def find_program() -> str:
    """Return the path of ansible-playbook. Raises MissingExtraError."""
    # Not resolved: a virtual environment's interpreter is a link that leads out of it.
    beside = Path(sys.executable).parent / _PROGRAM
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(_PROGRAM)
    if found is None:
        raise MissingExtraError("fleet", "remedy fleet, which runs ansible-playbook,")
    return found


def _check_inventories(request: Request) -> None:
    """Ansible goes on without an inventory that is not there, with this machine as the only host."""
    if not request.inventories:
        raise InputError("no inventory was given", next_step="-i INVENTORY")
    for inventory in request.inventories:
        if "," not in inventory and not Path(inventory).exists():
            raise InputError(
                "there is no such inventory", where=inventory, next_step="a file, a directory, or a list: web1,web2"
            )


def _environment(directory: Path) -> dict[str, str]:
    collections = [str(directory / COLLECTIONS), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")]
    return {
        **os.environ,
        "ANSIBLE_STDOUT_CALLBACK": "docker_remedy.fleet.events",
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(filter(None, collections)),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "LC_ALL": "C.UTF-8",  # Ansible refuses to start in another encoding
    }


def _take(answers: HostAnswers, event: dict[str, Any], on_answers: Callable[[HostAnswers], None]) -> None:
    answers.take(event)
    on_answers(answers)


def _run(
    command: list[str], environment: dict[str, str], request: Request, on_event: Callable[[dict[str, Any]], None]
) -> list[str]:
    """Run Ansible, hand each event on, and return the last lines of what else it said."""
    said: deque[str] = deque(maxlen=_LINES_KEPT)
    # In the terminal's foreground group, for it asks for passwords there; so ^C reaches it, too.
    process = subprocess.Popen(
        command,
        stdin=None if request.asks else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None and process.stderr is not None  # noqa: S101  # they are pipes
    listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
    listener.start()
    try:
        for line in process.stdout:
            event = _event(line)
            if event is None:
                said.append(line.decode(errors="replace").rstrip())
            else:
                on_event(event)
        process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        listener.join(timeout=1)  # an ssh that stays behind may hold the pipe open
    return [line for line in said if line]


def _reason(said: list[str]) -> list[str]:
    """Return the error out of what Ansible said; before it stand warnings about each thing that it tried."""
    errors = [number for number, line in enumerate(said) if line.startswith(("[ERROR]", "ERROR!"))]
    return said[errors[0] :] if errors else said[-_LINES_SHOWN:]


def _listen(stream: IO[bytes], said: deque[str]) -> None:
    for line in stream:
        said.append(line.decode(errors="replace").rstrip())


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let Ansible end by itself after ^C, which reached it as well; then ask, then make it."""
    for seconds, stop in ((2, process.terminate), (_SECONDS_TO_END, process.kill)):
        try:
            process.wait(timeout=seconds)
            return
        except subprocess.TimeoutExpired:
            stop()
    process.wait()
