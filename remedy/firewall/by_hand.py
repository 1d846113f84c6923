"""The commands with which an operator takes remedy's rules away without remedy."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.facts.model import FirewallBackend
from remedy.firewall import iptables_rules, nft_tables
from remedy.firewall.forward_guard import can_guard
from remedy.firewall.iptables_rules import Family, OwnChain, OwnRule, forward_chain, forward_jump_forms
from remedy.firewall.ruleset import Ruleset


def removal_commands(ruleset: Ruleset, backend: FirewallBackend) -> tuple[str, ...]:
    """Shell commands that delete the ruleset's rules, in the order in which they must run.

    Each names what it deletes exactly: nothing is saved and restored, so what the engine does meanwhile stays.
    """
    return (*_own_rules(ruleset, backend), *_guards(ruleset, backend))


def _own_rules(ruleset: Ruleset, backend: FirewallBackend) -> Iterator[str]:
    if backend is not FirewallBackend.IPTABLES_LEGACY:
        yield from (f"nft delete table {table.title}" for table in nft_tables.tables(ruleset))
        return
    for table in reversed(iptables_rules.tables(ruleset)):
        for chain in table.chains:
            yield from _delete(f"{_program(table.family, backend)} -w -t {table.name}", chain, (chain.jump,))


def _guards(ruleset: Ruleset, backend: FirewallBackend) -> Iterator[str]:
    families: tuple[Family, ...] = (4, 6)
    if ruleset.accepts_in_forward and can_guard(backend):
        for family in families:
            if family in ruleset.families:
                chain = forward_chain(ruleset, family, has_user_chain=False)
                yield from _delete(f"{_program(family, backend)} -w", chain, forward_jump_forms(ruleset))


def _delete(iptables: str, chain: OwnChain, jumps: tuple[OwnRule, ...]) -> Iterator[str]:
    yield " 2>/dev/null || ".join(f"{iptables} {jump.deletion}" for jump in jumps)
    yield f"{iptables} -F {chain.name}"
    yield f"{iptables} -X {chain.name}"


def _program(family: Family, backend: FirewallBackend) -> str:
    variant = "legacy" if backend is FirewallBackend.IPTABLES_LEGACY else "nft"
    return f"{'iptables' if family == 4 else 'ip6tables'}-{variant}"
