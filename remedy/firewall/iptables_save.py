"""iptables-save text as values, without losing anything: render(parse(text)) == text.

The tokeniser follows iptables' own reader (iptables 1.8 xshared.c, add_param_to_argv): double quotes group,
a backslash escapes inside them only, the closing quote ends the token, single quotes mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from remedy.errors import InputError

# Characters that iptables-save leaves unquoted, and those it escapes (xtables_save_string).
_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile(r"([\"\\'])")
_COUNTERS = re.compile(r"\[(\d+):(\d+)\] ")
# A plan reads the same rules before and after each of its actions: a fifth of its time. At 1.5 kB each, 25 MB at most.
_LINES_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a rule: `! --dport 80` is Option("--dport", ("80",), negated=True)."""

    name: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. tokens are what follows `-A CHAIN`, unquoted; text is the line as it was read."""

    table: str
    chain: str
    tokens: tuple[str, ...]
    text: str
    counters: tuple[int, int] | None = None

    @property
    def specification(self) -> str:
        """The rule's text without counters, as iptables-save without -c prints it."""
        return _COUNTERS.sub("", self.text, count=1) if self.counters is not None else self.text

    @property
    def options(self) -> tuple[Option, ...]:
        """The rule's options in their order (-m included)."""
        return tuple(_options(tokenise(self.specification)[2:]))

    def option(self, name: str) -> Option | None:
        """The first option of that name."""
        return next((option for option in self.options if option.name == name), None)

    @property
    def target(self) -> str | None:
        """Where -j or -g leads: a target's or a chain's name."""
        found = self.option("-j") or self.option("-g")
        return found.values[0] if found and found.values else None

    @property
    def comment(self) -> str | None:
        """The text of -m comment."""
        found = self.option("--comment")
        return found.values[0] if found and found.values else None


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain's declaration. policy is None for a chain that somebody made."""

    table: str
    name: str
    policy: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table with its chains and rules in the order of the text."""

    name: str
    chains: tuple[Chain, ...]
    rules: tuple[Rule, ...]

    def rules_in(self, chain: str) -> tuple[Rule, ...]:
        """The rules of one chain, in order."""
        return tuple(rule for rule in self.rules if rule.chain == chain)


@dataclass(frozen=True, slots=True)
class Remark:
    """A line without rules: comment, blank line, `*table`, COMMIT."""

    text: str


Line = Rule | Chain | Remark


@dataclass(frozen=True, slots=True)
class SavedRules:
    """A whole text: every line, and the tables that they make."""

    lines: tuple[Line, ...]
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table | None:
        """The table of that name, if the text has it."""
        return next((table for table in self.tables if table.name == name), None)


@dataclass(frozen=True, slots=True)
class Token:
    """A token and whether it stood in quotes (then it is never an option)."""

    text: str
    quoted: bool


@lru_cache(maxsize=_LINES_REMEMBERED)
def tokenise(line: str) -> tuple[Token, ...]:
    """Split a line as iptables-restore does.

    Raises InputError when a quote is not closed.
    """
    if '"' not in line:
        return tuple(Token(word, False) for word in line.split())
    tokens: list[Token] = []
    letters: list[str] = []
    rest = iter(line)
    for letter in rest:
        if letter == '"':
            letters.extend(_quoted(rest, line))
            tokens.append(Token("".join(letters), True))
            letters.clear()
        elif letter in " \t\n":
            if letters:
                tokens.append(Token("".join(letters), False))
                letters.clear()
        else:
            letters.append(letter)
    if letters:
        tokens.append(Token("".join(letters), False))
    return tuple(tokens)


def quote(token: str) -> str:
    """The token as iptables-save prints a string value (comments, log prefixes)."""
    return token if _PLAIN_TOKEN.fullmatch(token) else '"' + _ESCAPED.sub(r"\\\1", token) + '"'


def parse(text: str) -> SavedRules:
    """Read iptables-save output, with or without counters.

    Raises InputError, naming the line, for text that is not iptables-save's.
    """
    lines: list[Line] = []
    blocks: list[tuple[str, list[Chain], list[Rule]]] = []
    for number, line in _logical_lines(text):
        if line.startswith("*"):
            blocks.append((line[1:].strip(), [], []))
            lines.append(Remark(line))
        elif line.startswith(":") and blocks:
            chain = _chain(blocks[-1][0], line, number)
            blocks[-1][1].append(chain)
            lines.append(chain)
        elif line.startswith(("-A ", "[")) and blocks:
            rule = _rule(blocks[-1][0], line, number)
            blocks[-1][2].append(rule)
            lines.append(rule)
        elif not line.strip() or line.startswith("#") or line.rstrip() == "COMMIT":
            lines.append(Remark(line))
        else:
            raise InputError("this is no line of iptables-save", where=f"line {number}", why=line[:200])
    tables = tuple(Table(name, tuple(chains), tuple(rules)) for name, chains, rules in blocks)
    return SavedRules(tuple(lines), tables)


def render(rules: SavedRules) -> str:
    """The text that `parse` read."""
    return "\n".join(line.text for line in rules.lines)


def rules_of(text: str, table: str, chain: str) -> tuple[Rule, ...]:
    """The rules of one chain, in order; empty when there is no such table or chain."""
    return tuple(rule for found in parse(text).tables if found.name == table for rule in found.rules_in(chain))


def jumps_to(rules: Iterable[Rule], chain: str) -> tuple[Rule, ...]:
    """The rules that lead into `chain`, in order."""
    return tuple(rule for rule in rules if rule.target == chain)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; a line break inside quotes (a comment may have one) does not end a line."""
    pending: list[str] = []
    start = 1
    for number, line in enumerate(text.split("\n"), 1):
        if not pending:
            start = number
        pending.append(line)
        whole = "\n".join(pending)
        if whole.startswith("#") or not _is_quote_open(whole):
            yield start, whole
            pending.clear()
    if pending:
        raise InputError("a quote is never closed", where=f"line {start}", why=pending[0][:200])


def _is_quote_open(line: str) -> bool:
    if '"' not in line:
        return False
    inside = escaped = False
    for letter in line:
        if inside and escaped:
            escaped = False
        elif inside and letter == "\\":
            escaped = True
        elif letter == '"':
            inside = not inside
    return inside


def _quoted(rest: Iterator[str], line: str) -> Iterator[str]:
    for letter in rest:
        if letter == '"':
            return
        yield next(rest, "") if letter == "\\" else letter
    raise InputError("a quote is never closed", why=line[:200])


def _chain(table: str, line: str, number: int) -> Chain:
    words = line[1:].split()
    if len(words) < 2:
        raise InputError("a chain without a policy", where=f"line {number}", why=line[:200])
    return Chain(table, words[0], None if words[1] == "-" else words[1], line)


def _rule(table: str, line: str, number: int) -> Rule:
    found = _COUNTERS.match(line)
    counters = (int(found[1]), int(found[2])) if found else None
    tokens = tokenise(line[found.end() :] if found else line)
    if len(tokens) < 2 or tokens[0].text != "-A":
        raise InputError("a rule that does not begin with -A", where=f"line {number}", why=line[:200])
    return Rule(table, tokens[1].text, tuple(token.text for token in tokens[2:]), line, counters)


def _options(tokens: Iterable[Token]) -> Iterator[Option]:
    name, values, negated, negate_next = "", [], False, False  # type: str, list[str], bool, bool
    for token in tokens:
        if token.text == "!" and not token.quoted:
            negate_next = True
        elif token.text.startswith("-") and not token.quoted:
            if name:
                yield Option(name, tuple(values), negated)
            name, values, negated, negate_next = token.text, [], negate_next, False
        else:
            values.append(token.text)
    if name:
        yield Option(name, tuple(values), negated)
