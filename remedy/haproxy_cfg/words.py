"""Splitting a line into words as haproxy does it, with the place of each.

The rules are those of parse_line() in haproxy's src/tools.c (2.2 to 3.4 agree on all but how empty words are called
an error), which configuration.txt, 2.2 "Quoting and escaping", tells in part: a backslash before a character that
needs none stays, `\\$` is an escape inside double quotes only, a carriage return behind a word ends the line, and a
backslash at the end of a line is a backslash: haproxy knows no continued lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# As isspace() in the C locale. A carriage return is one only in a row of blanks that another one begins.
_BLANKS = re.compile(r"[ \t\n\v\f][ \t\n\v\f\r]*")
_LEADING = re.compile(r"[ \t\n\v\f\r]*")
_END = "\r\n\0"
_PLAIN = re.compile(r"[^ \t\n\v\f\r\0\\'\"#$]+")
_VARIABLE = re.compile(r"\$(?:\{(\.?\w+)(\[\*\])?(?:-([^}]*))?\}|(\.?\w+))", re.ASCII)
_NAME_BEGINS = re.compile(r"\$\{?[A-Za-z_.]")
_HEXADECIMAL = re.compile(r"x([0-9a-fA-F]{2})")
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Word:
    """line[start:end] is the word as written, value what it means to haproxy.

    is_expanded: it holds a `${NAME[*]}`, which haproxy splits into as many words as the variable has.
    """

    start: int
    end: int
    value: str
    is_expanded: bool = False


class _Splitter:
    """One pass over one line."""

    def __init__(self, line: str, environment: Mapping[str, str] | None) -> None:
        self.line = line
        self.environment = environment
        self.position = 0
        self.quote = ""
        self.start: int | None = None
        self.value: list[str] = []
        self.is_empty_word = False  # "" and '' are a word, "${UNSET[*]}" is none
        self.is_expanded = False
        self.words: list[Word] = []

    def take(self, text: str, length: int) -> None:
        """The next `length` characters mean `text`, in the word that stands here."""
        if self.start is None:
            self.start = self.position
        self.value.append(text)
        self.position += length

    def finish_word(self, end: int) -> None:
        if self.start is not None and (self.value_so_far or self.is_empty_word):
            self.words.append(Word(self.start, end, self.value_so_far, self.is_expanded))
        self.start, self.value, self.is_empty_word, self.is_expanded = None, [], False, False

    @property
    def value_so_far(self) -> str:
        return "".join(self.value)

    def step(self) -> bool:
        """Take what stands here; False where the line ends."""
        character = self.line[self.position]
        if plain := _PLAIN.match(self.line, self.position):
            self.take(plain[0], len(plain[0]))
        elif character in _END or (character == "#" and not self.quote):
            return False
        elif character in "'\"" and self.quote in {"", character}:
            self.turn_quote(character)
        elif character == "\\" and self.quote != "'":
            self.take_escape()
        elif not self.quote and (blanks := _BLANKS.match(self.line, self.position)):
            self.finish_word(self.position)
            self.position = blanks.end()
        elif character == "$" and self.quote == '"':
            self.take_variable()
        else:
            self.take(character, 1)
        return True

    def turn_quote(self, character: str) -> None:
        was_opened = self.position - 1 if self.quote else None
        self.quote = "" if self.quote else character
        self.is_empty_word |= was_opened is not None and self.line[was_opened] == character
        self.take("", 1)

    def take_escape(self) -> None:
        following = self.line[self.position + 1 : self.position + 2]
        if following == "x":
            number = _HEXADECIMAL.match(self.line, self.position + 1)
            if number is None:
                raise ValueError(f"{self.line[self.position : self.position + 4]} is no hexadecimal character")
            self.take(chr(int(number[1], 16)), 4)
        elif following in _NAMED:
            self.take(_NAMED[following], 2)
        elif following and (following in " \\#'\"" or (following == "$" and self.quote)):
            self.take(following, 2)
        else:
            self.take("\\", 1)

    def take_variable(self) -> None:
        match = _VARIABLE.match(self.line, self.position)
        if match is None or _NAME_BEGINS.match(match[0]) is None:
            raise ValueError("a $ in double quotes begins no variable's name")
        is_list = match[2] is not None
        value = match[0] if self.environment is None else _value_of(match, self.environment)
        if self.environment is None or not is_list:
            self.is_empty_word |= not is_list
            self.is_expanded |= is_list
            self.take(value, len(match[0]))
        else:
            self.take_list(value, match)

    def take_list(self, value: str, match: re.Match[str]) -> None:
        """The words of a `${NAME[*]}`: the first goes on with what stands before it, the last with what follows."""
        end = match.end()
        for index, part in enumerate(re.split(r"[ \t\n\v\f\r]+", value)):
            if index:
                self.finish_word(end)
                self.start = match.start()
            self.is_expanded = True
            self.take(part, 0)
        self.position = end


def split(line: str, environment: Mapping[str, str] | None = None) -> list[Word]:
    """Split a line into words; what follows a # is no word.

    environment None: variables stay as they are written. Raises ValueError for what haproxy rejects, and for a variable
    that the environment does not have.
    """
    splitter = _Splitter(line, environment)
    leading = _LEADING.match(line)
    splitter.position = leading.end() if leading else 0
    while splitter.position < len(line) and splitter.step():
        pass
    if splitter.quote:
        raise ValueError(f"unmatched {splitter.quote}")
    splitter.finish_word(splitter.position)
    return splitter.words


def _value_of(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name = match[1] or match[4]
    value = environment.get(name, match[3])
    if value is None:
        # haproxy takes an unknown one for an empty word. Here it may be one that `setenv` sets, or that was not read.
        raise ValueError(f"the variable {name} is not known")
    return value
