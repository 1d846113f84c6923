"""The `server` lines of a configuration with the options that bear on addresses, default-server included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from remedy.haproxy_cfg.document import Document, Section, Statement, statements, utf8

# Options of a server that are followed by one value (the keyword tables of haproxy 2.2 to 3.4; `usesrc` and `interface`
# belong to `source`): what follows them is no option.
_WITH_VALUE = frozenset(
    {
        "addr", "agent-addr", "agent-inter", "agent-port", "agent-send", "alpn", "ca-file", "cc", "check-alpn",
        "check-pool-conn-name", "check-proto", "check-sni", "ciphers", "ciphersuites", "client-sigalgs", "cookie",
        "crl-file", "crt", "curves", "downinter", "error-limit", "fall", "fastinter", "fullconn", "guid", "hash-key",
        "healthcheck", "id", "idle-ping", "init-addr", "init-state", "inter", "interface", "ktls", "log-bufsize",
        "log-proto", "max-reuse", "maxconn", "maxqueue", "minconn", "namespace", "npn", "observe", "on-error",
        "on-marked-down", "on-marked-up", "pool-conn-name", "pool-low-conn", "pool-max-conn", "pool-purge-delay",
        "port", "proto", "proxy-v2-options", "quic-cc-algo", "redir", "resolve-net", "resolve-opts", "resolve-prefer",
        "resolvers", "rise", "shard", "sigalgs", "slowstart", "sni", "socks4", "source", "ssl-max-ver", "ssl-min-ver",
        "tcp-md5sig", "tcp-ut", "track", "usesrc", "verify", "verifyhost", "weight", "ws",
    }
)  # fmt: skip
_WITH_VALUE_BY_PREFIX = "set-proxy-v2-tlv-fmt("
# What an edit adds where it is not said. Of a default-server that may not apply it does not count as said.
_ADDED_BY_EDITS = frozenset({"resolvers", "init-addr", "resolve-prefer", "resolve-opts"})
# Each of them says something more: all of their values count, with commas between them.
_ADDED_UP = frozenset({"resolve-opts"})
SERVER_KEYWORDS = ("server", "server-template")
# The port of `http-check connect port 5001` or `tcp-check connect port 5001`, in place of the server's. An option of no
# server has a name like this.
CHECK_RULE_PORT = "check connect port"


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One `server` or `server-template`. options: name -> value ("" for a switch), default-server's included.

    own: those of the line itself.
    """

    file: str
    line: int
    proxy: str
    name: str
    is_template: bool
    options: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)

    def number(self, option: str) -> int | None:
        """An option's value as a port number."""
        value = self.options.get(option, "")
        return int(value) if value.isascii() and value.isdigit() else None


def first_option(values: Sequence[str]) -> int:
    """Where the options begin in a server line's words."""
    return 4 if values[0] == "server-template" else 3


def option_places(values: Sequence[str], start: int = 0) -> Iterator[tuple[str, int | None]]:
    """Each option from `start` on, with the place of its value; None for a switch."""
    place = start
    while place < len(values):
        option = values[place]
        has_value = option in _WITH_VALUE or option == CHECK_RULE_PORT or option.startswith(_WITH_VALUE_BY_PREFIX)
        yield option, place + 1 if has_value and place + 1 < len(values) else None
        place += 2 if has_value else 1


def parse_options(values: Sequence[str], inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Options with their values, over inherited ones; of one that stands there twice the last. `no-x` takes x away."""
    found = dict(inherited or {})
    for option, place in option_places(values):
        opposite = option.removeprefix("no-") if option.startswith("no-") else f"no-{option}"
        found.pop(opposite, None)
        value = "" if place is None else values[place]
        found[option] = f"{found[option]},{value}" if option in _ADDED_UP and option in found else value
    return found


def read_servers(files: Sequence[tuple[str, bytes]]) -> tuple[ServerLine, ...]:
    """Every server line of these files, which haproxy reads in this order as if they were one."""
    return tuple(_read(files))


def _read(files: Sequence[tuple[str, bytes]]) -> Iterator[ServerLine]:
    inherited: dict[str, dict[str, str]] = {}  # by the defaults section's name
    latest_defaults: dict[str, str] = {}
    for path, raw in files:
        latest: Section | None = None  # a section does not go on in the next file
        defaults: dict[str, str] = {}
        for statement in statements(Document.parse(raw)):
            section = statement.section
            if section is not latest:
                latest = section
                # A defaults section begins with nothing unless it says `from`, any other with the defaults before it.
                base = {} if section.keyword == "defaults" else latest_defaults
                defaults = dict(base if section.based_on is None else inherited.get(section.based_on, {}))
                if section.keyword == "defaults":
                    latest_defaults = inherited[section.name] = defaults
            elif statement.keyword == "default-server":
                _inherit(defaults, statement, statement.values[1:])
            elif statement.keyword == "source":
                # The proxy's own, for all of its servers; the words are those of a server's.
                _inherit(defaults, statement, statement.values)
            elif statement.keyword in ("http-check", "tcp-check"):
                _inherit(defaults, statement, _of_check_rule(statement.values))
            elif statement.keyword in SERVER_KEYWORDS and section.keyword in ("backend", "listen"):
                yield _server(path, statement, defaults)


def _of_check_rule(values: Sequence[str]) -> list[str]:
    """What a rule says of the port that is checked, as an option with its value. With `addr` it is not the server's."""
    if "connect" not in values[1:2] or "addr" in values or "port" not in values[:-1]:
        return []
    return [CHECK_RULE_PORT, values[values.index("port") + 1]]


def _inherit(defaults: dict[str, str], statement: Statement, words: Sequence[str]) -> None:
    merged = parse_options(words, defaults)
    if statement.is_conditional:
        unsure = _ADDED_BY_EDITS & merged.keys()
        merged = {name: value for name, value in merged.items() if name not in unsure}
        merged |= {name: defaults[name] for name in unsure & defaults.keys()}
    defaults.clear()
    defaults.update(merged)


def _server(path: str, statement: Statement, defaults: Mapping[str, str]) -> ServerLine:
    values = statement.values
    options = values[first_option(values) :]
    return ServerLine(
        file=path,
        line=statement.line.number,
        proxy=utf8(statement.section.name),
        name=utf8(values[1]) if len(values) > 1 else "",
        is_template=values[0] == "server-template",
        options=parse_options(options, defaults),
        own=parse_options(options),
    )
