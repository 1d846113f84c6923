"""Runs packets through the rules that are really there, as the kernel would.

At each hook the base chains are called in order of priority; an accept ends one base chain, a drop ends the packet.
A rule whose condition cannot be told is tried both ways: where both come to the same, it does not matter; where they
do not, `Undecided` names the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from remedy.facts.model import Address
from remedy.netfilter.index import IndexedChain
from remedy.netfilter.later import tells_later_packets_apart
from remedy.netfilter.matches import READ, Surroundings
from remedy.netfilter.needs import needs_conntrack
from remedy.netfilter.packet import CtState, Packet
from remedy.netfilter.rules import (
    Accept,
    BaseChain,
    CopyMark,
    Dnat,
    Drop,
    Hook,
    Jump,
    MappedDnat,
    Masquerade,
    Nothing,
    Notrack,
    Redirect,
    Reject,
    Return,
    Rule,
    RuleTable,
    SetMark,
    Snat,
    Statement,
    UnknownStatement,
    VerdictMap,
    When,
)

CONNTRACK_PRIORITY = -200
# Where translations take effect (linux/netfilter_ipv4.h, NF_IP_PRI_NAT_DST and _SRC).
NAT_PRIORITY = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100, Hook.FORWARD: 1 << 31}
MOST_UNCERTAIN = 6
MOST_JUMPS = 64


class Undecided(Exception):
    """What becomes of the packet hangs on a rule that the model cannot decide.

    may_match: only whether it matches cannot be told, so both ways can be tried to the end of the journey.
    """

    def __init__(self, rule: Rule, why: str, *, may_match: bool = False) -> None:
        super().__init__(why)
        self.rule, self.why, self.may_match = rule, why, may_match


@dataclass(frozen=True, slots=True)
class Translation:
    """What a nat rule decided: a new destination or a new source. None: that part stays."""

    kind: Literal["dnat", "snat", "masquerade", "redirect"]
    address: Address | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched and decided something; policy: a base chain's policy did."""

    rule: Rule
    what: Statement


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a hook made of a packet.

    refusal: None, or what the sender is told ("" nothing) when the packet is gone. notrack: conntrack is not to see it.
    """

    packet: Packet
    refusal: str | None = None
    translation: Translation | None = None
    notrack: bool = False
    hits: tuple[Hit, ...] = ()

    def is_same_as(self, other: Outcome) -> bool:
        """Whether both come to the same, whatever rules they passed."""
        mine = (self.packet, self.refusal, self.translation, self.notrack)
        return mine == (other.packet, other.refusal, other.translation, other.notrack)


Settle = Callable[[Packet, Translation | None], Packet]
Called = list[tuple[BaseChain, Mapping[str, "IndexedChain"]]]


class _Fork(Exception):
    """A rule that cannot be decided was met for the first time."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule


class Firewall:
    """Every rule of one host, ready to be asked. Building it is linear in the rules."""

    def __init__(self, tables: Iterable[RuleTable], host: Surroundings) -> None:
        self._host = host
        self._hooks: dict[tuple[int, Hook], list[tuple[BaseChain, Mapping[str, IndexedChain]]]] = {}
        self.tables = tuple(tables)
        self.tells_later_apart = tells_later_packets_apart(self.tables)
        self._tracked = {family for table in self.tables if needs_conntrack(table) for family in table.families}
        for table in self.tables:
            chains = {name: IndexedChain(chain) for name, chain in table.chains.items()}
            for base in table.base_chains:
                for family in table.families:
                    self._hooks.setdefault((family, base.hook), []).append((base, chains))
        for called in self._hooks.values():
            called.sort(key=lambda each: each[0].priority)

    def tracks(self, family: int) -> bool:
        """Whether conntrack watches this family's packets: it does as soon as one rule of the family needs it."""
        return family in self._tracked

    def translating(self, hook: Hook, packet: Packet) -> Iterator[tuple[str, dict[str, list[Rule]]]]:
        """Each nat base chain of a hook, by name, with the rules of its table's chains that the packet could match."""
        for base, chains in self._hooks.get((packet.family, hook), []):
            if base.kind == "nat":
                candidates = {name: list(chain.candidates(packet, self._host)) for name, chain in chains.items()}
                yield base.chain.name, candidates

    def run(
        self,
        hook: Hook,
        packet: Packet,
        settle: Settle,
        *,
        translates: bool,
        assumed: Mapping[str, bool] = MappingProxyType({}),
    ) -> Outcome:
        """What becomes of a packet at one hook.

        translates: nat chains are asked, as they are for the first packet of a tracked connection only.
        settle: makes the packet what it is after NAT; called once, with the nat chains' decision, if any.
        assumed: of rules that cannot be told, by their place, whether they match.
        Raises Undecided when it hangs on a rule that is not known.
        """
        called = self._hooks.get((packet.family, hook), [])
        return self._both_ways(called, packet, (hook, settle, translates), dict(assumed))

    def _both_ways(
        self, called: Called, packet: Packet, how: tuple[Hook, Settle, bool], assumed: dict[str, bool]
    ) -> Outcome:
        try:
            return _Passage(self._host, how, assumed).through(called, packet)
        except _Fork as fork:
            rule = fork.rule
        if len(assumed) >= MOST_UNCERTAIN:
            raise Undecided(rule, "too many rules before it are uncertain")
        taken, passed = (
            self._both_ways(called, packet, how, {**assumed, rule.place: answer}) for answer in (True, False)
        )
        if not taken.is_same_as(passed):
            why = "whether this rule matches cannot be told, and it makes a difference"
            raise Undecided(rule, why, may_match=True)
        return passed


class _Passage:
    """One packet on its way through the base chains of one hook."""

    def __init__(self, host: Surroundings, how: tuple[Hook, Settle, bool], assumed: Mapping[str, bool]) -> None:
        self._host = host
        self._hook, self._settle, self._translates = how
        self._assumed = assumed
        self._hits: list[Hit] = []
        self._translation: Translation | None = None
        self._notrack = False
        self._jumps = 0

    def through(self, called: Called, packet: Packet) -> Outcome:
        nat_priority = NAT_PRIORITY[self._hook]
        is_settled = False
        for base, chains in called:
            if base.priority > CONNTRACK_PRIORITY and self._notrack:
                packet = packet._replace(state=CtState.UNTRACKED)
            if base.priority > nat_priority and not is_settled:
                packet, is_settled = self._settle(packet, self._translation), True
            if base.kind == "nat" and (not self._translates or self._translation is not None or self._notrack):
                continue
            verdict, packet = self._chain(chains[base.chain.name], chains, packet)
            if verdict is None or isinstance(verdict, Return):
                verdict = base.policy
                if isinstance(verdict, Drop):
                    self._hits.append(Hit(_policy(base), verdict))
            refusal = _refusal(verdict)
            if refusal is not None:
                return Outcome(packet, refusal, self._translation, self._notrack, tuple(self._hits))
        if self._notrack:
            packet = packet._replace(state=CtState.UNTRACKED)
        if not is_settled:
            packet = self._settle(packet, self._translation)
        return Outcome(packet, None, self._translation, self._notrack, tuple(self._hits))

    def _chain(
        self, chain: IndexedChain, chains: Mapping[str, IndexedChain], packet: Packet
    ) -> tuple[Statement | None, Packet]:
        """The verdict of a chain, None at its end; and the packet, which marks may have changed."""
        self._jumps += 1
        if self._jumps > MOST_JUMPS:
            return Drop(), packet  # a circle; the kernel takes none
        for rule in chain.candidates(packet, self._host):
            if not self._holds(rule, packet):
                continue
            verdict, packet = self._statements(rule, rule.statements, chains, packet)
            if verdict is not None:
                return (None if isinstance(verdict, Return) else verdict), packet
        return None, packet

    def _holds(self, rule: Rule, packet: Packet) -> bool:
        uncertain = False
        for match in rule.matches:
            answer = match.matches(packet, self._host)
            if answer is False:
                return False
            uncertain = uncertain or answer is None
        if not uncertain:
            return True
        if rule.place not in self._assumed:
            raise _Fork(rule)
        return self._assumed[rule.place]

    def _statements(
        self, rule: Rule, statements: Iterable[Statement], chains: Mapping[str, IndexedChain], packet: Packet
    ) -> tuple[Statement | None, Packet]:
        for statement in statements:
            verdict, packet = self._statement(rule, statement, chains, packet)
            if verdict is not None:
                return verdict, packet
        return None, packet

    def _statement(
        self, rule: Rule, statement: Statement, chains: Mapping[str, IndexedChain], packet: Packet
    ) -> tuple[Statement | None, Packet]:
        match statement:
            case Accept() | Drop() | Reject():
                self._hits.append(Hit(rule, statement))
                return statement, packet
            case Return():
                return statement, packet
            case Jump(name, is_goto):
                verdict, packet = self._chain(chains[name], chains, packet) if name in chains else (None, packet)
                return (Return() if verdict is None and is_goto else verdict), packet
            case VerdictMap():
                found = _found(statement, packet, self._host)
                return (None, packet) if found is None else self._statement(rule, found, chains, packet)
            case When(matches, statements):
                nested = Rule(matches, statements, rule.text, f"{rule.place} (its last part)")
                if not self._holds(nested, packet):
                    return None, packet
                return self._statements(nested, statements, chains, packet)
            case SetMark() | CopyMark():
                return None, _marked(packet, statement)
            case Notrack():
                self._notrack = True
                self._hits.append(Hit(rule, statement))
                return None, packet
            case Nothing():
                return None, packet
            case UnknownStatement(text):
                raise Undecided(rule, f"this model does not know what the rule does: {text}")
            case _:
                return self._translate(rule, statement, packet), packet

    def _translate(self, rule: Rule, statement: Statement, packet: Packet) -> Statement | None:
        found = _translation(statement, packet, self._host)
        if found is None:
            return None  # no element of the map: on with the next rule
        if not getattr(statement, "is_certain", True):
            raise Undecided(rule, "the kernel takes any address or port of a range")
        self._translation = found
        self._hits.append(Hit(rule, statement))
        return Accept()


def _policy(base: BaseChain) -> Rule:
    word = "DROP" if isinstance(base.policy, Drop) else "ACCEPT"
    last = base.chain.rules[-1].place.rpartition(" ")[0] if base.chain.rules else base.chain.name
    return Rule((), (), f"policy {word}", last)


def _refusal(verdict: Statement | None) -> str | None:
    if isinstance(verdict, Reject):
        return verdict.answer
    return "" if isinstance(verdict, Drop) else None


def _marked(packet: Packet, statement: SetMark | CopyMark) -> Packet:
    match statement:
        case SetMark(value, mask, is_connection=True):
            return packet._replace(ct_mark=(packet.ct_mark & ~mask) ^ value)
        case SetMark(value, mask):
            return packet._replace(mark=(packet.mark & ~mask) ^ value)
        case CopyMark(mask, to_connection=True):
            return packet._replace(ct_mark=(packet.ct_mark & ~mask) | (packet.mark & mask))
        case CopyMark(mask):
            return packet._replace(mark=(packet.mark & ~mask) | (packet.ct_mark & mask))


def _found(statement: VerdictMap, packet: Packet, host: Surroundings) -> Statement | None:
    return statement.lookup.find([READ[field](packet, host) for field in statement.fields])


def _translation(statement: Statement, packet: Packet, host: Surroundings) -> Translation | None:
    match statement:
        case Dnat(address, port):
            return Translation("dnat", address, port)
        case MappedDnat(fields, lookup=lookup):
            to = lookup.find([READ[field](packet, host) for field in fields])
            return None if to is None else Translation("dnat", to.address, to.port)
        case Snat(address):
            return Translation("snat", address)
        case Masquerade():
            return Translation("masquerade")
        case Redirect(port):
            return Translation("redirect", None, port)
        case _:
            raise AssertionError(f"no translation: {statement}")
