"""A firewall's state in the form in which two states are compared (promise 3 of the design).

Foreign rules count with their order in each chain. The engine's rules count as a multiset per chain, because
every restart of the engine reorders them. remedy's own rules are kept apart. A table without rules and chains
whose policies are all ACCEPT does not count: the kernel never unregisters a table that was touched once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from remedy.firewall.engine_rules import USER_CHAIN, is_engine_chain, is_engine_rule
from remedy.firewall.iptables_save import Rule, Table, parse
from remedy.firewall.names import CHAIN_PREFIX, COMMENT_PREFIX


@dataclass(frozen=True, slots=True)
class ChainForm:
    """One chain. policy is None for a chain that somebody made; engine is sorted, the others are in order."""

    table: str
    chain: str
    policy: str | None
    foreign: tuple[str, ...] = ()
    engine: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """`nat POSTROUTING`."""
        return f"{self.table} {self.chain}"


@dataclass(frozen=True, slots=True)
class NormalForm:
    """All chains that count, of one family, sorted by table and name."""

    chains: tuple[ChainForm, ...]

    def chain(self, place: str) -> ChainForm | None:
        """The chain at `nat POSTROUTING`."""
        return next((chain for chain in self.chains if chain.place == place), None)


def is_own_rule(rule: Rule) -> bool:
    """Whether remedy wrote this rule: it is in, leads to, or is marked as one of ours."""
    return (
        rule.chain.startswith(CHAIN_PREFIX)
        or (rule.target or "").startswith(CHAIN_PREFIX)
        or (rule.comment or "").startswith(COMMENT_PREFIX)
    )


def normalised(text: str) -> NormalForm:
    """The normal form of iptables-save text (counters, comments and the order of chains do not matter).

    Raises InputError for text that is not iptables-save's.
    """
    chains = [chain for table in parse(text).tables if _counts(table) for chain in _chain_forms(table)]
    return NormalForm(tuple(sorted(chains, key=lambda chain: (chain.table, chain.chain))))


def differences(before: NormalForm, after: NormalForm) -> tuple[str, ...]:
    """What has changed, one readable line each; empty when the states are the same."""
    old = {chain.place: chain for chain in before.chains}
    new = {chain.place: chain for chain in after.chains}
    return tuple(line for place in sorted(old.keys() | new.keys()) for line in _changes(place, old, new))


def _counts(table: Table) -> bool:
    return bool(table.rules) or any(chain.policy != "ACCEPT" for chain in table.chains)


def _chain_forms(table: Table) -> Iterator[ChainForm]:
    for chain in table.chains:
        groups: dict[str, list[str]] = {"foreign": [], "engine": [], "own": []}
        for rule in table.rules_in(chain.name):
            groups[_group(rule)].append(rule.specification)
        yield ChainForm(
            table.name,
            chain.name,
            chain.policy,
            foreign=tuple(groups["foreign"]),
            engine=tuple(sorted(groups["engine"])),
            own=tuple(groups["own"]),
        )


def _group(rule: Rule) -> str:
    if is_own_rule(rule):
        return "own"
    return "engine" if is_engine_rule(rule) else "foreign"


def _changes(place: str, old: dict[str, ChainForm], new: dict[str, ChainForm]) -> Iterator[str]:
    before, after = old.get(place), new.get(place)
    if before is None:
        before = _absent(new[place])
        if new[place].policy is None:
            yield f"{place}: {_owner(new[place].chain)} chain appeared"
    if after is None:
        after = _absent(before)
        if before.policy is None:
            yield f"{place}: {_owner(before.chain)} chain is gone"
    if before.policy != after.policy:
        yield f"{place}: the policy was {before.policy}, is {after.policy}"
    yield from _in_order(f"{place}: foreign rule", before.foreign, after.foreign)
    yield from _as_multiset(f"{place}: engine rule", before.engine, after.engine)
    yield from _in_order(f"{place}: own rule", before.own, after.own)


def _absent(chain: ChainForm) -> ChainForm:
    """A chain that does not exist: a built-in one then has the policy ACCEPT."""
    return ChainForm(chain.table, chain.chain, None if chain.policy is None else "ACCEPT")


def _owner(chain: str) -> str:
    if chain.startswith(CHAIN_PREFIX):
        return "own"
    return "engine" if is_engine_chain(chain) or chain == USER_CHAIN else "foreign"


def _in_order(what: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    if before == after:
        return
    changes = tuple(_as_multiset(what, before, after))
    yield from changes or (f"{what}s are in another order",)


def _as_multiset(what: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[str]:
    gone, appeared = Counter(before), Counter(after)
    for rule, count in (gone - appeared).items():
        yield f"{what} is gone: {rule}" + (f" (x{count})" if count > 1 else "")
    for rule, count in (appeared - gone).items():
        yield f"{what} appeared: {rule}" + (f" (x{count})" if count > 1 else "")
