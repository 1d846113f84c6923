"""Has somebody else changed the same thing since? Asked before a rollback writes over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from remedy.apply.runs import Run
from remedy.errors import RemedyError
from remedy.facts.model import FirewallBackend, HostFacts
from remedy.firewall.writer import select_writer
from remedy.host.files import read_without_following
from remedy.host.sysctls import read_sysctl
from remedy.plan.model import Action, HoldLiveRestore, ReleaseLiveRestore, SetSysctls, SwitchUserlandProxy, WriteRules


def foreign_changes(run: Run, facts: HostFacts | None) -> tuple[str, ...]:
    """What differs both from what the run left and from what was there before it, a line each."""
    begun = [action for action, _ in run.to_undo()]
    found = [*_daemon_json(begun), *_sysctls(begun)]
    if facts is not None and run.state in ("applied", "pending"):
        found += _rules(begun, facts)
    return tuple(found)


def _daemon_json(actions: list[Action]) -> Iterator[str]:
    known: dict[str, set[bytes | None]] = {}
    for action in actions:
        if isinstance(action, SwitchUserlandProxy):
            contents = (action.content, action.back_content, action.original)
        elif isinstance(action, HoldLiveRestore):
            contents = (action.content, action.release_content, action.original)
        elif isinstance(action, ReleaseLiveRestore):
            contents = (action.hold_content, action.release_content, action.final)
        else:
            continue
        known.setdefault(action.path, set()).update(content.raw for content in contents)
    for path, contents_seen in known.items():
        try:
            if read_without_following(Path(path)) not in contents_seen:
                yield f"{path} was edited since"
        except RemedyError as error:
            yield str(error)


def _sysctls(actions: list[Action]) -> Iterator[str]:
    for action in actions:
        if isinstance(action, SetSysctls):
            for name, value in action.values.items():
                found = read_sysctl(name)
                if found not in (None, value, action.previous[name]):
                    yield f"{name} is {found}, neither what remedy wrote ({value}) nor what was there before"


def _rules(actions: list[Action], facts: HostFacts) -> Iterator[str]:
    removed = {action.ruleset.name for action in actions if action.kind == "remove_rules"}
    for action in actions:
        if not isinstance(action, WriteRules) or action.ruleset.name in removed:
            continue
        writer = select_writer(FirewallBackend(action.firewall_backend))
        if action.ruleset.name not in writer.present_names(facts.firewall):
            continue  # gone as a whole (a reboot, a flush): nothing of anybody's would be lost
        for difference in writer.differences(action.ruleset, facts.firewall):
            yield f"remedy's {action.ruleset.name} rules were edited: {difference}"
