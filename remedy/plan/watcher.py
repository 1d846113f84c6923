"""`watch`: the watcher's service, installed by a run and removed with it."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.model import HostFacts
from remedy.facts.systemd import WATCHER_UNIT, unseen_place
from remedy.plan.actions import SetWatcher
from remedy.plan.model import Refusal
from remedy.plan.part import Part
from remedy.plan.refusals import WATCHING
from remedy.spec.load import USUAL_PLACE
from remedy.spec.models import Spec


def plan_watcher(spec: Spec, facts: HostFacts, spec_path: str | None) -> Part:
    """The action that the service needs, or why it cannot be had.

    spec_path: whole, on that host; None where it is planned elsewhere, and the host keeps it in the usual place.
    """
    state = facts.systemd.watcher
    if spec.watch is None or (spec.watch and state in WATCHING):
        return Part()
    if not spec.watch:
        return Part() if state is None else Part(actions=(_removal(state),))
    path = spec_path or str(USUAL_PLACE)
    refusals = tuple(_refusals(facts, path))
    return Part(refusals=refusals) if refusals else Part(actions=(_installation(facts, path),))


def _installation(facts: HostFacts, path: str) -> SetWatcher:
    state = facts.systemd.watcher
    return SetWatcher(
        id="watcher",
        summary=f"install the watcher, {WATCHER_UNIT}",
        reason="what is pinned to containers' addresses, and networks that they joined, has to follow the containers",
        before="not installed" if state is None else state,
        after=f"active, also after a reboot; it reads {path}",
        inverse="stop and remove it" if state is None else "the service's file as it was",
        installed=True,
        spec_path=path,
        daemon_json_path=facts.daemon_json.path,
    )


def _removal(state: str) -> SetWatcher:
    return SetWatcher(
        id="watcher",
        summary=f"remove the watcher, {WATCHER_UNIT}",
        reason="the spec says watch: false",
        before=state,
        after="not installed; what is applied stays as it is",
        inverse="install it as it was",
        installed=False,
    )


def _refusals(facts: HostFacts, path: str) -> Iterator[Refusal]:
    if not facts.systemd.available:
        yield Refusal(
            code="watcher-without-systemd",
            what="watch: true needs systemd",
            why="the watcher is a systemd service, so that it comes back after a crash and a reboot",
            cure="leave it out, run `remedy watch` under the supervisor that this host has, and accept_pinned: true",
        )
    hidden = unseen_place(path)
    if hidden is not None:
        yield Refusal(
            code="watcher-spec-hidden",
            what=f"the watcher would not find {path}",
            why=f"its service does not see {hidden}, which anybody may write to",
            cure=f"keep it in {USUAL_PLACE}, for example",
        )
