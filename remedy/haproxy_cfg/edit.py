"""Editing server lines: the address word, check ports, the options that names need. All else stays, byte by byte."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from remedy.errors import InputError
from remedy.haproxy_cfg.document import Document, Line, statements
from remedy.haproxy_cfg.engine_dns import Transport, address_by
from remedy.haproxy_cfg.servers import SERVER_KEYWORDS, first_option, option_places
from remedy.haproxy_cfg.words import Word

# Names of containers, addresses, and options: nothing that could leave its word, or the line.
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9a-fA-F:.]+\]")
_VALUE = re.compile(r"[A-Za-z0-9_.:,-]+")
# libc takes a name like these for an address in one, two or three numbers, and asks nobody.
_NUMBERS = re.compile(r"(?:0[xX][0-9a-fA-F]*|\d+)(?:\.(?:0[xX][0-9a-fA-F]*|\d+))*\.?")
_MOST_WORDS = 64  # MAX_LINE_ARGS of haproxy
_FAMILY = re.compile(r"(?:ipv[46]|tcp[46]?|stream[46]?|mptcp[46]?)@")
# Queries go to the engine's DNS. While the engine is down it answers nothing or refuses: the last address is kept for
# an hour, because no container moves without the engine. A name that is denied is a container that is gone, and its
# address may be somebody else's soon.
_SECTION = """\
# The engine's DNS, which knows the containers by name. Added by remedy.
resolvers {name}
    nameserver docker {address}
    accepted_payload_size 8192
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    hold nx 5s
    hold other 30s
    hold refused 1h
    hold timeout 1h
"""


class ConfigEditError(InputError):
    """A line that cannot be edited without a doubt."""


@dataclass(frozen=True, slots=True)
class ServerEdit:
    """What one server line is to say. None: as it is."""

    file: str
    line: int
    host: str
    port: int
    check_port: int | None = None
    resolvers: str | None = None
    init_addr: str | None = None
    resolve_prefer: str | None = None
    resolve_opts: str | None = None


@dataclass(frozen=True, slots=True)
class ResolversSection:
    """A section that is added at the end of the file. transport: how it asks the engine's DNS."""

    name: str
    transport: Transport = "udp"


def edit_config(raw: bytes, edits: Sequence[ServerEdit], section: ResolversSection | None) -> bytes:
    """The file's bytes after the edits, all of which are of this file. Raises ConfigEditError."""
    document = Document.parse(raw)
    lines = list(document.lines)
    for edit in edits:
        if not 0 < edit.line <= len(lines):
            raise _error(edit, "the file has no such line")
        lines[edit.line - 1] = _edited(lines[edit.line - 1], edit)
    edited = Document(tuple(lines)).render()
    return edited if section is None else edited + _added(document, edited, section)


def _edited(line: Line, edit: ServerEdit) -> Line:
    words = line.words
    values = [word.value for word in words]
    if not values or values[0] not in SERVER_KEYWORDS or len(words) < first_option(values):
        raise _error(edit, "this is no server line")
    # How many words these are only haproxy knows, and its versions differ: 2.8 and 3.0 drop "", others do not.
    if any(word.is_expanded or not word.value for word in words):
        raise _error(edit, 'it has an empty word, or one that a "${NAME[*]}" makes several of')
    start = first_option(values)
    changes = [_address(words[start - 1], edit)]
    if edit.check_port is not None:
        changes.append(_check_port(words, values, start, edit))
    end = words[-1].end
    changes += [(end, end, f" {option} {value}") for option, value in _added_options(edit)]
    edited = replace(line, text=_with_changes(line.text, changes))
    if len(edited.words) > _MOST_WORDS:
        raise _error(edit, f"it would have more words than haproxy takes in a line, {_MOST_WORDS}")
    return edited


def _added_options(edit: ServerEdit) -> Iterator[tuple[str, str]]:
    options = {
        "resolvers": edit.resolvers,
        "init-addr": edit.init_addr,
        "resolve-prefer": edit.resolve_prefer,
        # Behind one that is there already: haproxy adds up what they say.
        "resolve-opts": edit.resolve_opts,
    }
    for option, value in options.items():
        if value is not None:
            if _VALUE.fullmatch(value) is None:
                raise _error(edit, f"{value!r} is no value that may be written there")
            yield option, value


def _with_changes(text: str, changes: Sequence[tuple[int, int, str]]) -> str:
    """Text with places replaced. From the end to the beginning, so that places stay right."""
    for _, (begin, end, new) in sorted(enumerate(changes), key=lambda item: (item[1][0], item[0]), reverse=True):
        text = text[:begin] + new + text[end:]
    return text


def _address(word: Word, edit: ServerEdit) -> tuple[int, int, str]:
    family = _FAMILY.match(word.value)
    return word.start, word.end, f"{family[0] if family else ''}{_host(edit)}:{_port(edit.port, edit)}"


def _host(edit: ServerEdit) -> str:
    host = f"[{edit.host}]" if ":" in edit.host else edit.host
    if _HOST.fullmatch(host) is None or (_NUMBERS.fullmatch(host) and not _is_ipv4(host)):
        raise _error(edit, f"{edit.host!r} is no name or address that may be written there")
    return host


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _port(port: int, edit: ServerEdit) -> int:
    if not 0 < port < 65536:
        raise _error(edit, f"{port} is no port")
    return port


def _check_port(words: Sequence[Word], values: Sequence[str], start: int, edit: ServerEdit) -> tuple[int, int, str]:
    port = _port(edit.check_port or 0, edit)
    places = [place for option, place in option_places(values, start) if option == "port" and place is not None]
    if not places:
        return words[-1].end, words[-1].end, f" port {port}"
    return words[places[-1]].start, words[places[-1]].end, str(port)


def _added(document: Document, edited: bytes, section: ResolversSection) -> bytes:
    if _VALUE.fullmatch(section.name) is None:
        raise ConfigEditError(f"{section.name!r} is no name for a resolvers section")
    *_, last = [None, *statements(document)]
    # haproxy would read no further, or the section would be there only at times.
    if last is not None and last.is_conditional:
        raise ConfigEditError(
            "a resolvers section cannot be added at the end of the file",
            why="an .if has no .endif",
            next_step="haproxy -c says where",
        )
    text = _SECTION.format(name=section.name, address=address_by(section.transport))
    before = "" if not edited or edited.endswith(b"\n") else "\n"
    return f"{before}\n{text}".replace("\n", document.ending).encode("latin-1")


def _error(edit: ServerEdit, why: str) -> ConfigEditError:
    return ConfigEditError(
        "a server line cannot be edited",
        where=f"{edit.file}:{edit.line}",
        why=why,
        next_step="write this server's address by hand, and plan again",
    )
