"""What the hosts answered to a playbook, out of the events that the collection's callback writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MODULES = ("docker_remedy.fleet.remedy", "docker_remedy.fleet.remedy_facts")
_SUDO = "ssing sudo password"  # "Missing ...", "... missing": as Ansible says it, by version


@dataclass(slots=True)
class HostAnswer:
    """One host. plan: without the contents of files. summary: the fact `remedy`. file_name: of its files here."""

    name: str
    plan: dict[str, Any] | None = None
    summary: dict[str, Any] | None = None
    file_name: str | None = None
    error: dict[str, Any] | None = None

    @property
    def has_answered(self) -> bool:
        """Whether it is known how this host came out, files apart."""
        return self.plan is not None or self.summary is not None or self.error is not None


class HostAnswers:
    """Takes events one by one. Hosts stand in the order of the inventory."""

    def __init__(self) -> None:
        self.hosts: dict[str, HostAnswer] = {}
        self.ended = False

    @property
    def answered(self) -> int:
        """How many hosts have answered, one way or the other."""
        return sum(host.has_answered for host in self.hosts.values())

    def take(self, event: dict[str, Any]) -> None:
        """Take one event. Unknown ones say nothing."""
        match event["event"]:
            case "play":
                for name in event["hosts"]:
                    self.hosts.setdefault(name, HostAnswer(name))
            case "result":
                self._result(event)
            case "end":
                self.ended = True

    def _result(self, event: dict[str, Any]) -> None:
        host = self.hosts.setdefault(event["host"], HostAnswer(event["host"]))
        answer = event["answer"]
        if event["status"] in ("failed", "unreachable"):
            # The first one: what follows from it says less. Also one that the playbook goes on after.
            if not event["ignored"] or event["action"] in MODULES:
                host.error = host.error or _error(event, answer)
        elif event["status"] == "ok":
            host.plan = answer.get("plan", host.plan)
            facts = answer.get("ansible_facts", {})
            host.summary = facts.get("remedy", host.summary)
            host.file_name = facts.get("remedy_file_name", host.file_name)


def _error(event: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Return a failure in the form of remedy's errors: its own words where it is remedy that failed."""
    told = str(answer.get("msg") or "").strip()
    if event["status"] == "unreachable":
        return _described(
            "unreachable", "the host was not reached", why=told, next_step="try it by ssh; --limit leaves hosts out"
        )
    error = answer.get("error")
    if isinstance(error, dict) and "what" in error:
        return error
    first, _, rest = told.partition("\n")
    next_step = "--ask-become-pass" if _SUDO in told.lower() else "ansible-playbook -v of that playbook shows more"
    return _described(
        "ansible",
        first or "a task failed, and its output is hidden",
        where=f"task {event['task']}",
        why=rest,
        next_step=next_step,
    )


def _described(code: str, what: str, *, where: str = "", why: str = "", next_step: str = "") -> dict[str, Any]:
    return {
        "code": code,
        "what": what,
        "where": where or None,
        "why": why or None,
        "next": next_step or None,
        "exit_code": 1,
    }
