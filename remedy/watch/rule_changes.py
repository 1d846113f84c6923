"""A change of rules: as actions, and in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from remedy.facts.model import FirewallBackend
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.plan.actions import (
    Action,
    ConnectNetwork,
    CreateNetwork,
    ForgetFlows,
    RemoveRules,
    UntrackInside,
    WriteRules,
)
from remedy.plan.held import pinned_to

CHANGED = "the containers changed"
# What needs the engine's help: the process apart does it.
DoneApart = CreateNetwork | ConnectNetwork | UntrackInside


def write_actions(ruleset: Ruleset, written: Ruleset | None, backend: FirewallBackend) -> Iterator[Action]:
    """The rules in one transaction; then what conntrack knows of pairs that are new in them is forgotten."""
    kind = RemoveRules if ruleset.is_empty else WriteRules
    yield kind(
        id=f"{ruleset.name}_rules",
        summary=_summary(ruleset),
        reason=CHANGED,
        before="",
        after="",
        inverse="",
        ruleset=ruleset,
        firewall_backend=backend,
    )
    known = frozenset() if written is None else frozenset(written.untracked)
    new = tuple(pair for pair in ruleset.untracked if pair not in known)
    if new:
        yield ForgetFlows(
            id="forget_flows",
            summary="delete the conntrack entries of new pairs",
            reason=CHANGED,
            before="",
            after="",
            inverse="",
            pairs=new,
        )


def _summary(ruleset: Ruleset) -> str:
    if ruleset.is_empty:
        return f"remove the {ruleset.name} rules"
    if ruleset.untracked:
        return f"{ruleset.name} rules for {len(ruleset.untracked)} pairs"
    return f"{ruleset.name} rules for {len(ruleset.redirects)} published ports"


def settling(actions: Sequence[Action], rulesets: Mapping[RulesetName, Ruleset]) -> Iterator[Action]:
    """The actions with the rules that are to stand; where other ones are due meanwhile, that is for the next look."""
    for action in actions:
        if isinstance(action, DoneApart):
            continue
        if not isinstance(action, WriteRules | RemoveRules):
            yield action
        elif isinstance(action, RemoveRules):
            if action.ruleset.name not in rulesets or rulesets[action.ruleset.name].is_empty:
                yield action
        elif not rulesets[action.ruleset.name].is_empty:
            yield action.model_copy(update={"ruleset": rulesets[action.ruleset.name]})


def changes_told(before: Ruleset | None, after: Ruleset | None) -> str:
    """What is new in the rules, and what is gone."""
    old = {} if before is None else dict.fromkeys(pinned_to(before))
    new = {} if after is None else dict.fromkeys(pinned_to(after))
    lines = [*(f"+{line}" for line in new if line not in old), *(f"-{line}" for line in old if line not in new)]
    shown = ", ".join(lines[:6]) + (f" and {len(lines) - 6} more" if len(lines) > 6 else "")
    return shown or "as they were, written again"


def needs_no_record(action: Action) -> bool:
    """Whether its undo is by name, whatever was done."""
    return isinstance(action, WriteRules | RemoveRules | ForgetFlows)
