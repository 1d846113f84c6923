"""WriteRules and RemoveRules: remedy's own rulesets, each in one transaction, and the FORWARD guard with them."""

from __future__ import annotations

from functools import cached_property

from remedy.actions.context import ActionContext
from remedy.actions.pairs_of_today import pairs_of_today
from remedy.facts.model import FirewallBackend
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.writer import select_writer
from remedy.plan.actions import RemoveRules, WriteRules


def put_rules(ruleset: Ruleset, backend: FirewallBackend, context: ActionContext) -> None:
    """Write a ruleset (with its guard) and remember it. The record comes first: a kill leaves too much of it.

    Raises CommandError, MissingToolError, MissingExtraError.
    """
    context.owned_rules.put(ruleset)
    select_writer(backend).write(ruleset)


def take_rules(ruleset: Ruleset, backend: FirewallBackend, context: ActionContext) -> None:
    """Remove a ruleset (with its guard), present or not, and forget it."""
    select_writer(backend).remove(ruleset.name)
    context.owned_rules.forget(ruleset.name)


def rules_are_there(ruleset: Ruleset, backend: FirewallBackend) -> bool:
    """Whether the host's rules are exactly these."""
    return not select_writer(backend).read_differences(ruleset)


class WriteRulesAction:
    """Write a ruleset; undone by the one that was there before, or by removing it."""

    def __init__(self, action: WriteRules, context: ActionContext) -> None:
        self._action = action
        self._context = context
        self._backend = FirewallBackend(action.firewall_backend)

    def undo_data(self) -> dict[str, object]:
        """The ruleset of the same name that remedy wrote before, if any; and what it writes, where addresses decide."""
        written = {"written": self._ruleset.model_dump(mode="json")} if self._action.ruleset.untracked else {}
        return {**_previous(self._context, self._action.ruleset), **written}

    def is_applied(self) -> bool:
        """The host's rules are exactly the plan's."""
        return rules_are_there(self._ruleset, self._backend)

    def apply(self) -> None:
        """Raises CommandError and the other errors of the writer."""
        put_rules(self._ruleset, self._backend, self._context)

    def revert(self, undo: dict[str, object]) -> None:
        """Write the previous ruleset, or remove ours."""
        previous = undo.get("previous")
        if previous is None:
            take_rules(self._action.ruleset, self._backend, self._context)
        else:
            put_rules(Ruleset.model_validate(previous), self._backend, self._context)

    @cached_property
    def _ruleset(self) -> Ruleset:
        planned = self._action.ruleset
        return planned.model_copy(update={"untracked": pairs_of_today(planned.untracked, self._context.engine)})


class RemoveRulesAction:
    """Remove a ruleset; undone by writing it again."""

    def __init__(self, action: RemoveRules, context: ActionContext) -> None:
        self._action = action
        self._context = context
        self._backend = FirewallBackend(action.firewall_backend)

    def undo_data(self) -> dict[str, object]:
        """The ruleset that is removed, as remedy wrote it."""
        return _previous(self._context, self._action.ruleset)

    def is_applied(self) -> bool:
        """Nothing is remembered as written, so nothing of that name is there."""
        return self._context.owned_rules.get(self._action.ruleset.name) is None

    def apply(self) -> None:
        """Raises CommandError and the other errors of the writer."""
        take_rules(self._action.ruleset, self._backend, self._context)

    def revert(self, undo: dict[str, object]) -> None:
        """Write the rules again."""
        previous = undo.get("previous")
        ruleset = self._action.ruleset if previous is None else Ruleset.model_validate(previous)
        if not ruleset.is_empty:
            put_rules(ruleset, self._backend, self._context)


def _previous(context: ActionContext, ruleset: Ruleset) -> dict[str, object]:
    known = context.owned_rules.get(ruleset.name)
    return {"previous": None if known is None else known.model_dump(mode="json")}
