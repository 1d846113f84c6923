"""A tolerant reader of haproxy.cfg that looks for one thing: where haproxy connects to.

Words are split as haproxy does it (remedy.haproxy_cfg.words). Whatever it does not understand it says in
`problems`; it never raises on content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from remedy.facts.model import HaproxyServer
from remedy.haproxy_cfg.document import SECTIONS
from remedy.haproxy_cfg.servers import SERVER_KEYWORDS, first_option, parse_options
from remedy.haproxy_cfg.words import split

_CONDITIONAL = re.compile(r"[ \t]*\.(?:if|elif|else|(?P<end>endif))\b")
_NO_ADDRESS = ("unix@", "abns@", "abnsz@", "fd@", "sockpair@", "rhttp@", "rev@", "/")
_FAMILY_PREFIX = re.compile(r"^(?:(?:tcp|udp|quic|mptcp|stream|dgram)[46]?|ipv[46])@")
_MATTERS = re.compile(r"\s*(?:server|server-template|default-server|defaults|backend|listen|frontend)\b")
_VARIABLES = frozenset({"setenv", "presetenv", "unsetenv", "resetenv"})
_MAY_MATTER = re.compile(r"\s*[\"']?(?:\.|" + "|".join(sorted(SECTIONS | _VARIABLES)) + ")")
MAXIMUM_SERVERS = 5_000
MAXIMUM_PROBLEMS = 50
_LONGEST_LINE = 64 << 10


@dataclass(slots=True)
class Reading:
    """What was found so far; problems are kept once each.

    variables: the environment as the files read so far have changed it. inherited: the check port of each defaults
    section by its name, latest_defaults that of the last one: they hold in the files that follow, too.
    """

    servers: list[HaproxyServer] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)
    bytes_read: int = 0
    variables: dict[str, str] | None = None
    inherited: dict[str, int | None] = field(default_factory=dict)
    latest_defaults: int | None = None

    def complain(self, problem: str) -> None:
        """Note something that was not understood."""
        self.problems.setdefault(problem)


@dataclass(slots=True)
class _Section:
    keyword: str = ""
    name: str = ""
    check_port: int | None = None
    is_conditional: bool = False
    has_conditions: bool = False  # it was said that the file has them: once, for problems are counted

    def enter(self, words: list[str], reading: Reading) -> None:
        self.keyword = words[0]
        self.name = words[1] if len(words) > 1 and words[1] != "from" else ""
        self.check_port = None if words[0] == "defaults" else reading.latest_defaults
        if "from" in words[1:-1]:
            self.check_port = reading.inherited.get(words[words.index("from", 1) + 1])
        self.publish(reading)

    def publish(self, reading: Reading) -> None:
        """What a defaults section says is so for the sections that follow it."""
        if self.keyword == "defaults":
            reading.latest_defaults = reading.inherited[self.name] = self.check_port


def parse_config(text: str, file: str, environment: Mapping[str, str], reading: Reading) -> None:
    """Read one file's text into `reading`."""
    section = _Section()
    if reading.variables is None:
        reading.variables = dict(environment)
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{file}:{number}"
        # Most lines are of no interest, and a hostile file may have millions.
        if "server" not in line and not _MAY_MATTER.match(line):
            continue
        if condition := _CONDITIONAL.match(line):
            if not section.has_conditions:
                reading.complain(f"{where}: conditional blocks are all read, whether they apply or not")
            section.has_conditions, section.is_conditional = True, condition["end"] is None
            continue
        if len(line) > _LONGEST_LINE:
            reading.complain(f"{where}: the line is too long")
            continue
        if len(reading.servers) >= MAXIMUM_SERVERS or len(reading.problems) >= MAXIMUM_PROBLEMS:
            reading.complain(f"{where}: too many servers or problems, the rest of the file was not read")
            return
        try:
            words = [word.value for word in split(line, reading.variables)]
        except ValueError as error:
            # Other lines are none of our business, and haproxy has accepted them.
            if _MATTERS.match(line):
                reading.complain(f"{where}: {error}")
            continue
        if words:
            _read_line(words, section, file, number, reading)


def parse_address(text: str) -> tuple[str, int | None] | None:
    """Read a server's address: (host, port), None for one that is no network address. Raises ValueError."""
    text = _FAMILY_PREFIX.sub("", text)
    if text.startswith(_NO_ADDRESS):
        return None
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"address {text!r} is not understood")
        return str(IPv6Address(host)), _port(rest[1:])
    # "2001:db8::1:8080" is IPv6 with a port to haproxy: the last colon divides.
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, None
    if host and ":" in host:
        return _ipv6_with_port(text, host, port)
    return host, _port(port)


def _ipv6_with_port(text: str, host: str, port: str) -> tuple[str, int | None]:
    if port == "" or not port.isdigit():
        return str(IPv6Address(host if port == "" else text)), None
    try:
        return str(IPv6Address(host)), _port(port)
    except ValueError:
        return str(IPv6Address(text)), None


def _read_line(words: list[str], section: _Section, file: str, line: int, reading: Reading) -> None:
    keyword = words[0]
    if keyword in SECTIONS:
        section.enter(words, reading)
    elif keyword in _VARIABLES:
        _set_variable(words, section.is_conditional, reading)
    elif keyword == "default-server":
        section.check_port = _check_port(words[1:]) or section.check_port
        section.publish(reading)
    elif keyword in SERVER_KEYWORDS and section.keyword != "resolvers":
        try:
            reading.servers.extend(_servers(words, section, file, line))
        except (ValueError, IndexError) as error:
            reason = str(error) if isinstance(error, ValueError) else "a word is missing"
            reading.complain(f"{file}:{line}: {keyword}: {reason}")


def _set_variable(words: Sequence[str], is_conditional: bool, reading: Reading) -> None:
    """The environment as haproxy changes it for the lines that follow. What may have been set is not known."""
    variables = reading.variables if reading.variables is not None else {}
    match words:
        case ["setenv" | "presetenv", name, _] if is_conditional:
            variables.pop(name, None)
        case ["setenv", name, value]:
            variables[name] = value
        case ["presetenv", name, value]:
            variables.setdefault(name, value)
        case ["unsetenv", *names]:
            for name in names:
                variables.pop(name, None)
        case ["resetenv", *kept]:
            reading.variables = {name: value for name, value in variables.items() if name in kept}


def _servers(words: list[str], section: _Section, file: str, line: int) -> Iterator[HaproxyServer]:
    if words[0] == "server-template":
        name, address = f"{words[1]}[{_slots(words[2])}]", words[3]
    else:
        # In a peers section the local peer has no address (`bind` says it).
        name, address = words[1], (words[2] if len(words) > 2 else "/")
    if "${" in address or address.startswith("$"):
        raise ValueError(f"address {address!r} has a variable outside of double quotes")
    parsed = parse_address(address)
    if parsed is None:
        return
    host, port = parsed
    yield HaproxyServer(
        proxy=section.name or section.keyword,
        name=name,
        host=host,
        port=port,
        file=file,
        line=line,
        check_port=_check_port(words[first_option(words) :]) or section.check_port,
    )


def _slots(text: str) -> str:
    if re.fullmatch(r"\d+(?:-\d+)?", text) is None:
        raise ValueError(f"{text!r} is no number of servers")
    return text if "-" in text else f"1-{text}"


def _check_port(options: list[str]) -> int | None:
    value = parse_options(options).get("port", "")
    return int(value) if value.isascii() and value.isdigit() else None


def _port(text: str) -> int | None:
    # "+80" and "-80" are relative to the port that the client asked for.
    if not text or text[0] in "+-":
        return None
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"port {text!r} is not understood")
    return int(text)
