"""Plays playbooks on lab hosts as an operator does: stock Ansible, by ssh, from a machine of their network."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remedy.bench.fleet_hosts import USER
from remedy.errors import CommandError
from remedy.fleet.ansible import find_program
from remedy.fleet.playbooks import COLLECTIONS, playbooks_directory
from remedy.host.commands import run_command
from remedy.lab import Host

# Modules that are run on the host; the others are the controller's own.
ON_THE_HOST = ("docker_remedy.fleet.", "ansible.builtin.command", "ansible.builtin.wait_for_connection")
META = ("meta", "ansible.builtin.meta")
LINES_SHOWN = 20


@dataclass(slots=True)
class Play:
    """A play, or one batch of it, as it was played."""

    name: str
    hosts: tuple[str, ...]
    began: float
    ended: float = 0.0
    tasks: list[Task] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass(slots=True)
class Task:
    """A task as it was played: its module, for how many hosts, and for how many of them it was skipped."""

    action: str
    hosts: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Played:
    """A playbook as it was played."""

    seconds: float
    plays: tuple[Play, ...]


class Controller:
    """Where ansible-playbook runs: the lab's external machine, with a directory of this one."""

    def __init__(self, directory: Path, forks: int) -> None:
        """directory: an empty one, for keys, inventory and what Ansible keeps."""
        self._directory, self._forks = directory, forks
        self._hosts: Sequence[Host] = ()
        run_command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "id")], timeout=30)
        (directory / "ansible.cfg").touch()

    @property
    def key(self) -> str:
        """The public key that hosts should let in."""
        return (self._directory / "id.pub").read_text()

    def know(self, hosts: Sequence[Host]) -> None:
        """Write the inventory of these hosts, and know their keys."""
        self._hosts = hosts
        known = (f"{host.address} {host.read_file('/etc/ssh/ssh_host_ed25519_key.pub').decode()}" for host in hosts)
        (self._directory / "known_hosts").write_text("".join(known))
        inventory = {
            "hosts": {host.name: {"ansible_host": host.address} for host in hosts},
            "vars": {
                "ansible_user": USER,
                "ansible_ssh_private_key_file": str(self._directory / "id"),
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={self._directory / 'known_hosts'}",
            },
        }
        (self._directory / "hosts.json").write_text(json.dumps({"all": inventory}))

    def apply(self, executable: str) -> Played:
        """Play apply.yml as it is shipped. executable: what stands for remedy on the hosts. Raises CommandError."""
        return self._play(playbooks_directory() / "apply.yml", {"remedy_executable": executable})

    def idle(self, like: Played) -> Played:
        """Play as many tasks for the same hosts in the same batches, which do nothing. Raises CommandError."""
        playbook = self._directory / "idle.json"
        playbook.write_text(json.dumps(idle_playbook(like.plays)))
        return self._play(playbook, {})

    def _play(self, playbook: Path, variables: dict[str, str]) -> Played:
        arguments = [
            *(find_program(), f"--inventory={self._directory / 'hosts.json'}", f"--forks={self._forks}"),
            *(f"--extra-vars={json.dumps(variables)}", str(playbook)),
        ]
        began = time.monotonic()
        playing = subprocess.Popen(
            self._hosts[0].external.command(arguments, self._environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._directory,
            text=True,
            errors="replace",
        )
        lines: list[tuple[float, str]] = []
        try:
            assert playing.stdout is not None  # noqa: S101  # it is a pipe
            lines += ((time.monotonic(), line.rstrip()) for line in playing.stdout)
            status = playing.wait()
        finally:
            playing.kill()
        ended = time.monotonic()
        if status != 0:
            said = "\n".join(line for _, line in lines[-LINES_SHOWN:])
            raise CommandError(f"ansible-playbook ended with {status}", where=str(playbook), why=said)
        return Played(ended - began, tuple(plays_of(lines, ended)))

    def _environment(self) -> dict[str, str]:
        """Ansible as it comes, but with our own words for what happens, and everything below our directory."""
        return {
            "ANSIBLE_STDOUT_CALLBACK": "docker_remedy.fleet.events",
            "ANSIBLE_COLLECTIONS_PATH": str(playbooks_directory() / COLLECTIONS),
            "ANSIBLE_CONFIG": str(self._directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(self._directory / "ansible"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._directory / "cp"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }


def plays_of(lines: Sequence[tuple[float, str]], ended: float) -> Iterator[Play]:
    """The plays and batches in what the callback of the collection has written, each line with its moment."""
    play: Play | None = None
    for moment, line in lines:
        event = _event(line)
        match event.get("event"):
            case "play":
                if play is not None:
                    play.ended = moment
                    yield play
                play = Play(event["name"], tuple(event["hosts"]), moment)
            case "task" if play is not None and event["action"] not in META:  # told of for each host
                play.tasks.append(Task(event["action"]))
            case "result" if play is not None:
                play.tasks[-1].hosts += 1
                play.tasks[-1].skipped += event["status"] == "skipped"
    if play is not None:
        play.ended = ended
        yield play


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def idle_playbook(plays: Sequence[Play]) -> list[dict[str, Any]]:
    """A playbook of the same plays, batches and tasks; on the hosts they ping, on the controller they note a thing."""
    return [
        {
            "name": play.name,
            "hosts": ",".join(play.hosts),
            "gather_facts": False,
            "tasks": [_idle_task(task, len(play.hosts)) for task in play.tasks],
        }
        for play in plays
    ]


def _idle_task(task: Task, hosts: int) -> dict[str, Any]:
    does: dict[str, Any] = (
        {"ansible.builtin.ping": {}, "become": True}
        if task.action.startswith(ON_THE_HOST)
        else {"ansible.builtin.set_fact": {"idle": True}}
    )
    if task.hosts and task.skipped == task.hosts:
        does["when"] = False
    if task.hosts == 1 < hosts:
        does["run_once"] = True
    return {"name": task.action, **does}
