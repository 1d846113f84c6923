"""A configuration file as lines that give back their bytes, and the sections that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from remedy.haproxy_cfg.words import Word, split

# Every keyword that begins a section (2.2 to 3.4): whatever follows it belongs to it.
SECTIONS = frozenset(
    {
        "global", "defaults", "frontend", "backend", "listen", "peers", "ring", "resolvers", "userlist",
        "mailers", "program", "cache", "fcgi-app", "http-errors", "log-forward", "log-profile", "traces",
        "crt-store", "acme", "healthcheck",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line: text without its ending ("\\n", "\\r\\n", "" at the end of a file), number from 1."""

    number: int
    text: str
    ending: str

    @property
    def words(self) -> list[Word]:
        """Its words, variables as they are written; none for one that haproxy could not split either."""
        try:
            return split(self.text)
        except ValueError:
            return []


@dataclass(frozen=True, slots=True)
class Section:
    """A section's header; keyword and name empty for lines before the first."""

    keyword: str = ""
    name: str = ""
    based_on: str | None = None  # `from NAME`


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file."""

    lines: tuple[Line, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Document:
        """Read any bytes."""
        return cls(tuple(_lines(raw.decode("latin-1"))))

    def render(self) -> bytes:
        """The file's bytes."""
        return "".join(line.text + line.ending for line in self.lines).encode("latin-1")

    @property
    def ending(self) -> str:
        """How its lines end, by the first."""
        return next((line.ending for line in self.lines if line.ending), "\n")


def _lines(text: str) -> Iterator[Line]:
    parts = text.split("\n")
    for number, part in enumerate(parts, start=1):
        is_last = number == len(parts)
        if is_last:
            if part:
                yield Line(number, part, "")
        elif part.endswith("\r"):
            yield Line(number, part[:-1], "\r\n")
        else:
            yield Line(number, part, "\n")


@dataclass(frozen=True, slots=True)
class Statement:
    """A line that has words, with the section that it stands in; a header stands in its own.

    is_conditional: it stands between .if and .endif, so that it may not apply.
    """

    section: Section
    line: Line
    words: list[Word]
    is_conditional: bool = False

    @property
    def values(self) -> list[str]:
        """What its words mean."""
        return [word.value for word in self.words]

    @property
    def keyword(self) -> str:
        """Its first word."""
        return self.words[0].value


def statements(document: Document) -> Iterator[Statement]:
    """What a document says, line by line."""
    current, depth = Section(), 0
    for line in document.lines:
        words = line.words
        if not words:
            continue
        keyword = words[0].value
        if keyword == ".endif":
            depth = max(0, depth - 1)
        elif keyword == ".if":
            depth += 1
        elif keyword in SECTIONS:
            current = _section(words)
        yield Statement(current, line, words, depth > 0)


def _section(words: list[Word]) -> Section:
    values = [word.value for word in words]
    name = values[1] if len(values) > 1 and values[1] != "from" else ""
    based_on = values[values.index("from") + 1] if "from" in values[1:-1] else None
    return Section(values[0], name, based_on)


def utf8(text: str) -> str:
    """Text of the file for people: its bytes as UTF-8 where they are that."""
    return text.encode("latin-1", errors="replace").decode(errors="replace")
