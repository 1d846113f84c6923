"""Why a packet was *not* translated: the rule that keeps it from the DNAT that others get at the same port.

Engines leave docker-proxy its clients by three means: a RETURN for a bridge ahead of the DNAT rules, a DNAT rule that
does not hold for one bridge, and a jump that does not hold for loopback.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from remedy.netfilter.evaluate import Firewall
from remedy.netfilter.matches import Field, FieldMatch, Surroundings
from remedy.netfilter.packet import Packet
from remedy.netfilter.rules import Dnat, Hook, Jump, Redirect, Return, Rule

_INTERFACES = frozenset({Field.IN_INTERFACE, Field.OUT_INTERFACE})
_Chains = Mapping[str, Sequence[Rule]]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """The rule that decides that a packet is not translated; target: where it would have gone."""

    rule: Rule
    target: str
    is_jump: bool = False


def passed_over(firewall: Firewall, hook: Hook, packet: Packet, host: Surroundings) -> PassedOver | None:
    """The reason why no DNAT rule took a packet, None where there is no DNAT rule for its port."""
    for base, chains in firewall.translating(hook, packet):
        for name, rules in chains.items():
            for position, rule in enumerate(rules):
                target = _target(rule)
                if target is not None and _is_for_others_at_the_port(rule, packet, host):
                    return _reason(chains, base, name, position, target, (packet, host))
    return None


def _reason(
    chains: _Chains, base: str, name: str, position: int, target: str, asked: tuple[Packet, Surroundings]
) -> PassedOver:
    jump = next(_jumps(chains, base, name), None) if name != base else None
    if jump is not None and not _holds(jump, *asked):
        return PassedOver(jump, target, is_jump=True)
    for rule in chains[name][:position]:
        if any(isinstance(statement, Return) for statement in rule.statements) and _holds(rule, *asked):
            return PassedOver(rule, target)
    return PassedOver(chains[name][position], target)


def _jumps(chains: _Chains, base: str, name: str) -> Iterator[Rule]:
    for rule in chains.get(base, ()):
        if any(isinstance(statement, Jump) and statement.chain == name for statement in rule.statements):
            yield rule


def _target(rule: Rule) -> str | None:
    for statement in rule.statements:
        match statement:
            case Dnat(address, port) if address is not None:
                shown = f"[{address}]" if address.version == 6 else str(address)
                return shown if port is None else f"{shown}:{port}"
            case Redirect(port):
                return f"port {port}"
    return None


def _is_for_others_at_the_port(rule: Rule, packet: Packet, host: Surroundings) -> bool:
    return all(match.matches(packet, host) for match in rule.matches if not _asks_for_interface(match))


def _asks_for_interface(match: object) -> bool:
    return isinstance(match, FieldMatch) and match.field in _INTERFACES


def _holds(rule: Rule, packet: Packet, host: Surroundings) -> bool:
    return all(match.matches(packet, host) is not False for match in rule.matches)
