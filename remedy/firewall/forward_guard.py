"""The accept ahead of the engine's rules in filter FORWARD: while the engine restarts, and for untracked pairs.

Why: 28.x puts its DOCKER-FORWARD jump in front of everything at start, then appends the drop of what is not
published, and only then, container by container, the accepts (12 ms each, measured on 28.5.2). A new connection
from outside is dropped in between. Our chain accepts what our redirects have translated; it must stand first, and
the engine keeps putting its own rules in front of it. So somebody looks every few milliseconds (guard_loop).

It stands in iptables' own table filter on both kinds of hosts: an accept in another nft table does not undo a drop
there. Foreign rules that stand before the engine's stay before ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from remedy.facts.model import FirewallBackend, FirewallFacts
from remedy.firewall.engine_rules import USER_CHAIN, is_engine_target
from remedy.firewall.iptables_rules import Family, OwnChain, OwnTable, forward_chain, forward_chain_name
from remedy.firewall.iptables_save import jumps_to, parse, rules_of
from remedy.firewall.iptables_variant import Variant, saved_text
from remedy.firewall.ruleset import Ruleset, RulesetName

HOOK = "FORWARD"


class Forward(Protocol):
    """Chain FORWARD of table filter, of one family, as one backend reaches it."""

    family: Family

    def exists(self) -> bool:
        """Whether there is such a chain. Where there is none the engine has no rules, and we make none."""

    def targets(self) -> tuple[str, ...]:
        """Where each rule of FORWARD leads, read as cheaply as can be."""

    def write(self, chain: OwnChain) -> None:
        """Set the chain's rules, and its jump ahead of the engine's, in one transaction."""

    def move(self, chain: OwnChain) -> None:
        """Put the jump ahead of the engine's again, in one transaction: it is never absent."""

    def remove(self, chain: str) -> None:
        """Delete the jumps to the chain, and the chain. Nothing happens where it is absent."""


def is_ahead(targets: Sequence[str], chain: str) -> bool:
    """Whether there is exactly one jump to our chain, and nothing of the engine's before it."""
    if targets.count(chain) != 1:
        return False
    return not any(is_engine_target(target) for target in targets[: targets.index(chain)])


def place(targets: Sequence[str], chain: str) -> int:
    """The index (from 0, our own jumps not counted) at which the jump belongs: before the engine's first."""
    others = [target for target in targets if target != chain]
    return next((i for i, target in enumerate(others) if is_engine_target(target)), len(others))


class ForwardGuard:
    """The guard of one ruleset, in each family that it has rules of. For one thread at a time."""

    def __init__(self, ruleset: Ruleset, forwards: Sequence[Forward]) -> None:
        families = ruleset.families
        self._ruleset = ruleset
        self._name = forward_chain_name(ruleset.name)
        self._forwards = [forward for forward in forwards if forward.family in families]
        self._others = [forward for forward in forwards if forward.family not in families]

    def write(self) -> None:
        """Write chain and jump. Raises CommandError, MissingToolError, MissingExtraError."""
        for forward in self._forwards:
            if forward.exists():
                forward.write(self._chain(forward))
        for forward in self._others:
            forward.remove(self._name)

    def ensure_first(self) -> bool:
        """Put the jump ahead of the engine's rules again if it is not; True if it was not.

        Raises what `write` raises, also for moments in which the engine has FORWARD in pieces.
        """
        moved = [self._ensure(forward) for forward in self._forwards]
        return any(moved)

    def remove(self) -> None:
        """Delete jump and chain in both families; idempotent."""
        for forward in (*self._forwards, *self._others):
            forward.remove(self._name)

    def stands_behind(self) -> bool:
        """Whether a jump stands behind the engine's rules now. Raises CommandError."""
        return any(_is_behind(forward.targets(), self._name) for forward in self._forwards)

    def _ensure(self, forward: Forward) -> bool:
        targets = forward.targets()
        if is_ahead(targets, self._name) or not forward.exists():
            return False
        if self._name in targets:
            forward.move(self._chain(forward))
        else:
            forward.write(self._chain(forward))
        return True

    def _chain(self, forward: Forward) -> OwnChain:
        has_user_chain = USER_CHAIN in forward.targets()
        return forward_chain(self._ruleset, forward.family, has_user_chain=has_user_chain)


def can_guard(backend: FirewallBackend) -> bool:
    """Whether an accept can be put ahead of the engine's drops at all.

    Not with engine 29's own nftables: a drop in its table counts whatever another table accepted, and its only
    opening is a daemon option (bridge-accept-fwmark). A plan for such a host should say so.
    """
    return backend is not FirewallBackend.NFTABLES


def forward_guard(backend: FirewallBackend, ruleset: Ruleset) -> ForwardGuard:
    """The guard for the firewall that the engine uses; one that does nothing where `can_guard` is False."""
    return ForwardGuard(ruleset, _forwards(backend))


def remove_forward_guard(backend: FirewallBackend, name: RulesetName) -> None:
    """Delete the guard of a ruleset that is known by its name only; idempotent."""
    for forward in _forwards(backend):
        forward.remove(forward_chain_name(name))


def guard_table(ruleset: Ruleset, family: Family, saved: str) -> OwnTable:
    """What table filter should have of the ruleset, given the iptables-save text of that family."""
    table = parse(saved).table("filter")
    has_user_chain = table is not None and bool(jumps_to(table.rules_in(HOOK), USER_CHAIN))
    is_wanted = ruleset.accepts_in_forward and family in ruleset.families and table is not None
    chains = (forward_chain(ruleset, family, has_user_chain=has_user_chain),) if is_wanted else ()
    return OwnTable(family, "filter", chains)


def stands_behind(firewall: FirewallFacts, ruleset: Ruleset) -> bool:
    """Whether the ruleset's accept stands behind the engine's rules, in a family that has both, by the facts."""
    name = forward_chain_name(ruleset.name)
    families = ruleset.families if ruleset.accepts_in_forward and can_guard(firewall.backend) else ()
    return any(_is_behind(_saved_targets(firewall, family), name) for family in families)


def engine_filters(firewall: FirewallFacts, family: Family) -> bool:
    """Whether the engine's rules are in iptables' FORWARD of that family, by the facts."""
    return can_guard(firewall.backend) and any(map(is_engine_target, _saved_targets(firewall, family)))


def _is_behind(targets: Sequence[str], chain: str) -> bool:
    return chain in targets and not is_ahead(targets, chain)


def _saved_targets(firewall: FirewallFacts, family: Family) -> tuple[str, ...]:
    variant: Variant = "legacy" if firewall.backend is FirewallBackend.IPTABLES_LEGACY else "nft"
    return tuple(rule.target or "" for rule in rules_of(saved_text(firewall, family, variant), "filter", HOOK))


def _forwards(backend: FirewallBackend) -> tuple[Forward, ...]:
    if not can_guard(backend):
        return ()
    if backend is FirewallBackend.IPTABLES_LEGACY:
        from remedy.firewall.forward_legacy import LegacyForward

        return LegacyForward(4), LegacyForward(6)
    from remedy.firewall.forward_nft import NftForward

    return NftForward(4), NftForward(6)
