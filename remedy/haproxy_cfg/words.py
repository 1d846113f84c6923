"""Splitting a line into words as haproxy does it, with the place of each.

configuration.txt, 2.2 "Quoting and escaping" and 2.3 "Environment variables": a backslash escapes what follows it
outside single quotes, variables are expanded inside double quotes only, and a backslash at the end of a line does
not continue it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

BLANKS = " \t\n\v\f\r"
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:\[\*\])?(?:-([^}]*))?\}|(\w+))")
_HEXADECIMAL = re.compile(r"x([0-9a-fA-F]{2})")
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Word:
    """line[start:end] is the word as written, value what it means to haproxy."""

    start: int
    end: int
    value: str


class _Splitter:
    """One pass over one line."""

    def __init__(self, line: str, environment: Mapping[str, str] | None) -> None:
        self.line = line
        self.environment = environment
        self.position = 0
        self.start: int | None = None
        self.value: list[str] = []
        self.words: list[Word] = []

    def take(self, text: str, length: int) -> None:
        """The next `length` characters mean `text`, in the word that stands here."""
        if self.start is None:
            self.start = self.position
        self.value.append(text)
        self.position += length

    def finish_word(self) -> None:
        if self.start is not None:
            self.words.append(Word(self.start, self.position, "".join(self.value)))
        self.start, self.value = None, []

    def escape(self, quote: str) -> bool:
        """Take an escape sequence, if this backslash begins one."""
        following = self.line[self.position + 1 : self.position + 2]
        # Inside double quotes only these may be escaped; anywhere else whatever follows.
        if following == "" or (quote and following not in "\\\"$#' "):
            return False
        number = None if quote else _HEXADECIMAL.match(self.line, self.position + 1)
        if number is not None:
            self.take(chr(int(number[1], 16)), 4)
        else:
            self.take(_NAMED.get(following, following), 2)
        return True

    def variable(self) -> bool:
        """Take a variable, if this dollar begins one. Raises ValueError for one that is not known."""
        match = _VARIABLE.match(self.line, self.position)
        if match is None:
            return False
        self.take(_value_of(match, self.environment), len(match[0]))
        return True


def split(line: str, environment: Mapping[str, str] | None = None) -> list[Word]:
    """Split a line into words; what follows a # is no word.

    environment None: variables stay as they are written. Raises ValueError for an open quote, and for a variable that
    the environment does not have.
    """
    splitter = _Splitter(line, environment)
    quote = ""
    while splitter.position < len(line):
        character = line[splitter.position]
        if quote != "'" and character == "\\" and splitter.escape(quote):
            continue
        if character in "'\"" and quote in {"", character}:
            quote = "" if quote else character
            splitter.take("", 1)
        elif quote == '"' and character == "$" and splitter.variable():
            continue
        elif not quote and character == "#":
            break
        elif not quote and character in BLANKS:
            splitter.finish_word()
            splitter.position += 1
        else:
            splitter.take(character, 1)
    if quote:
        raise ValueError(f"unmatched {quote}")
    splitter.finish_word()
    return splitter.words


def _value_of(match: re.Match[str], environment: Mapping[str, str] | None) -> str:
    if environment is None:
        return match[0]
    name = match[1] or match[3]
    value = environment.get(name)
    if value is None or value == "":
        if match[2] is not None:
            return match[2]
        raise ValueError(f"the variable {name} is not known")
    return value
