"""Has somebody else changed the same thing since? Asked before a rollback writes over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from remedy.apply.edited_files import Edit, three_way_difference
from remedy.apply.followers import belongs_to_run
from remedy.apply.foreign_compose import edited_overrides
from remedy.apply.foreign_haproxy import edited_configurations
from remedy.apply.runs import Run
from remedy.apply.watch_journal import was_cut_off
from remedy.apply.written import as_written
from remedy.errors import RemedyError
from remedy.facts.model import FirewallBackend, HostFacts
from remedy.firewall.writer import select_writer
from remedy.host.conntrack_settings import read_setting
from remedy.host.files import read_without_following, write_atomically
from remedy.host.sysctls import read_sysctl
from remedy.plan.actions import (
    INTENT_LABEL,
    Action,
    CreateNetwork,
    HoldLiveRestore,
    ReleaseLiveRestore,
    SetSysctls,
    SizeConntrack,
    SwitchUserlandProxy,
    WriteRules,
)


def foreign_changes(run: Run, facts: HostFacts | None) -> tuple[str, ...]:
    """What differs both from what the run left and from what was there before it, a line each."""
    begun = [as_written(action, undo) for action, undo in run.to_undo()]
    found = [*_sysctls(begun), *_conntrack(begun)]
    if any(isinstance(action, SwitchUserlandProxy | HoldLiveRestore | ReleaseLiveRestore) for action in begun):
        # All actions of the plan: after half a rollback the file is what one that is reverted already has left.
        found = [*_daemon_json(run.plan.actions), *found]
    found += [f"{edit.path} was {edit.how} since" for edit in _edits(begun)]
    if facts is not None and run.state in ("applied", "pending"):
        found += _rules(run, begun, facts)
    if facts is not None:
        found += _joined(run, facts)
    return tuple(found)


def foreign_differences(run: Run) -> tuple[str, ...]:
    """What was edited in haproxy's configuration or a compose override: before remedy, as remedy wrote it, now.

    For the operator's eyes alone: such files may hold passwords, so this goes into no journal.
    """
    begun = [action for action, _ in run.to_undo()]
    return tuple(line for edit in _edits(begun) for line in three_way_difference(edit))


def keep_foreign_files(run: Run) -> tuple[Path, ...]:
    """Copy edited files into the run's directory before they are written over; where they are kept.

    Raises OSError.
    """
    begun = [action for action, _ in run.to_undo()]
    edited = [*_edited_daemon_json(run.plan.actions)]
    edited += [(edit.path, edit.now) for edit in _edits(begun) if edit.now is not None]
    edited += _edited_conntrack_files(begun)
    kept: list[Path] = []
    for number, (path, raw) in enumerate(edited):
        copy = run.directory / f"overwritten-{Path(path).name}"
        # Two files may have the same name.
        copy = copy.with_name(f"{copy.name}.{number}") if copy in kept else copy
        write_atomically(copy, raw, mode=0o600)
        kept.append(copy)
    return tuple(kept)


def _edits(begun: Sequence[Action]) -> list[Edit]:
    return [*edited_configurations(begun), *edited_overrides(begun)]


def _edited_daemon_json(actions: Iterable[Action]) -> Iterator[tuple[str, bytes]]:
    for path, contents in _known_contents(actions).items():
        try:
            raw = read_without_following(Path(path))
        except RemedyError:
            continue  # a symbolic link: it is refused, not written over
        if raw is not None and raw not in contents:
            yield path, raw


def _conntrack(actions: list[Action]) -> Iterator[str]:
    for action in actions:
        if not isinstance(action, SizeConntrack):
            continue
        for name, value in action.values.items():
            found = read_setting(name)
            if found not in (None, value, action.previous[name]):
                yield f"{name} is {found}, neither what remedy wrote ({value}) nor what was there before"
    yield from (f"{path} was edited since" for path, _ in _edited_conntrack_files(actions))


def _edited_conntrack_files(actions: Iterable[Action]) -> Iterator[tuple[str, bytes]]:
    for action in actions:
        if not isinstance(action, SizeConntrack):
            continue
        for file, original in zip(action.files, action.original_files, strict=True):
            try:
                raw = read_without_following(Path(file.path))
            except RemedyError:
                raw = b"a symbolic link"
            if raw is not None and raw not in (file.raw, original.raw):
                yield file.path, raw


def _daemon_json(actions: Iterable[Action]) -> Iterator[str]:
    for path, contents in _known_contents(actions).items():
        try:
            if read_without_following(Path(path)) not in contents:
                yield f"{path} was edited since"
        except RemedyError as error:
            yield str(error)


def _known_contents(actions: Iterable[Action]) -> dict[str, set[bytes | None]]:
    """Every content that the plan itself gives daemon.json at some point."""
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
    return known


def _sysctls(actions: list[Action]) -> Iterator[str]:
    for action in actions:
        if isinstance(action, SetSysctls):
            for name, value in action.values.items():
                found = read_sysctl(name)
                if found not in (None, value, action.previous[name]):
                    yield f"{name} is {found}, neither what remedy wrote ({value}) nor what was there before"


def _rules(run: Run, actions: list[Action], facts: HostFacts) -> Iterator[str]:
    if was_cut_off(run.owned_rules.directory.parent):
        return  # the watcher was killed while it wrote: old or new, or half of each, they are remedy's
    removed = {action.ruleset.name for action in actions if action.kind == "remove_rules"}
    for action in actions:
        if not isinstance(action, WriteRules) or action.ruleset.name in removed:
            continue
        writer = select_writer(FirewallBackend(action.firewall_backend))
        if action.ruleset.name not in writer.present_names(facts.firewall):
            continue  # gone as a whole (a reboot, a flush): nothing of anybody's would be lost
        # As they were written last: the watcher follows the containers.
        written = run.owned_rules.get(action.ruleset.name) or action.ruleset
        for difference in writer.differences(written, facts.firewall):
            yield f"remedy's {action.ruleset.name} rules were edited: {difference}"


def _joined(run: Run, facts: HostFacts) -> Iterator[str]:
    """Containers on a network of remedy's that others have connected: it cannot be removed below them."""
    for action, undo in run.to_undo():
        if not isinstance(action, CreateNetwork) or "intent" not in undo:
            continue
        own = {n.id for n in facts.networks if n.labels.get(INTENT_LABEL) == undo["intent"]}
        for container in facts.containers:
            is_on = any(endpoint.network_id in own for endpoint in container.endpoints)
            if is_on and not belongs_to_run(container, run.plan.actions, action.name):
                yield f"{container.name} has joined the network {action.name}, which cannot be removed below it"
