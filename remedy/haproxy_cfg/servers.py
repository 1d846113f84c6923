"""The `server` lines of a configuration with the options that bear on addresses, default-server included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from remedy.haproxy_cfg.document import Document, Section, sections, utf8

# Options of a server that are followed by one value (configuration.txt, 5.2): what follows them is no option.
_WITH_VALUE = frozenset(
    {
        "addr", "agent-send", "agent-inter", "agent-addr", "agent-port", "alpn", "ca-file", "check-alpn",
        "check-proto", "check-sni", "ciphers", "ciphersuites", "client-sigalgs", "cookie", "crl-file", "crt",
        "curves", "error-limit", "fall", "fastinter", "downinter", "fullconn", "guid", "hash-key", "id", "idle-ping",
        "init-addr", "init-state", "inter", "log-bufsize", "log-proto", "max-reuse", "maxconn", "maxqueue",
        "minconn", "namespace", "npn", "observe", "on-error", "on-marked-down", "on-marked-up", "pool-conn-name",
        "pool-low-conn", "pool-max-conn", "pool-purge-delay", "port", "proto", "proxy-v2-options", "redir",
        "resolve-net", "resolve-opts", "resolve-prefer", "resolvers", "rise", "send-proxy-v2-ssl-cn", "shard",
        "sigalgs", "slowstart", "sni", "socks4", "source", "ssl-max-ver", "ssl-min-ver", "tcp-ut", "track", "usesrc",
        "verify", "verifyhost", "weight", "ws",
    }
)  # fmt: skip
SERVER_KEYWORDS = ("server", "server-template")


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


def parse_options(values: Sequence[str]) -> dict[str, str]:
    """Options with their values; of one that stands there twice the last."""
    found: dict[str, str] = {}
    waiting = iter(values)
    for option in waiting:
        found[option] = next(waiting, "") if option in _WITH_VALUE else ""
    return found


def read_servers(files: Sequence[tuple[str, bytes]]) -> tuple[ServerLine, ...]:
    """Every server line of these files, which haproxy reads in this order as if they were one."""
    return tuple(_read(files))


def _read(files: Sequence[tuple[str, bytes]]) -> Iterator[ServerLine]:
    inherited: dict[str, dict[str, str]] = {}  # by the defaults section's name, "" for the latest
    latest: Section | None = None
    defaults: dict[str, str] = {}
    for path, raw in files:
        latest = None  # a section does not go on in the next file
        for section, line, words in sections(Document.parse(raw)):
            values = [word.value for word in words]
            if section is not latest:
                latest = section
                defaults = {} if section.keyword == "defaults" else dict(inherited.get(section.based_on or "", {}))
                if section.keyword == "defaults":
                    inherited[""] = defaults
                    inherited[section.name] = defaults
                continue
            if values[0] == "default-server":
                defaults.update(parse_options(values[1:]))
            elif values[0] in SERVER_KEYWORDS and section.keyword in ("backend", "listen"):
                own = parse_options(values[first_option(values) :])
                yield ServerLine(
                    file=path,
                    line=line.number,
                    proxy=utf8(section.name),
                    name=utf8(values[1]) if len(values) > 1 else "",
                    is_template=values[0] == "server-template",
                    options={**defaults, **own},
                    own=own,
                )
