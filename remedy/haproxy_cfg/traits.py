"""What a whole configuration says of resolvers, and of all that hangs on a server's address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from remedy.haproxy_cfg.document import Document, Section, Statement, statements, utf8
from remedy.haproxy_cfg.engine_dns import Transport, transport_of


@dataclass(slots=True)
class Traits:
    """Filled while the files are read. asks_engine: sections that ask the engine's DNS, in their order, and how.

    stick_tables_without_peers and the rest: names of proxies.
    """

    asks_engine: dict[str, set[Transport]] = field(default_factory=dict)
    resolvers_names: list[str] = field(default_factory=list)
    uses_server_state_file: bool = False
    dynamic_cookie_proxies: list[str] = field(default_factory=list)
    hash_by_address_proxies: list[str] = field(default_factory=list)
    stick_tables_without_peers: list[str] = field(default_factory=list)

    def fitting_resolvers(self, transport: Transport) -> str | None:
        """A section that asks the engine's DNS so that it is heard again after a restart; of several the first.

        TCP will do for a haproxy that is better off with UDP, if the operator wrote it; not so the other way round.
        """
        wanted = {"tcp"} if transport == "tcp" else {"udp", "tcp"}
        return next((name for name, found in self.asks_engine.items() if found & wanted), None)


def read_traits(files: Sequence[tuple[str, bytes]]) -> Traits:
    """Read the files, in haproxy's order."""
    traits = Traits()
    for _, raw in files:
        for statement in statements(Document.parse(raw)):
            match statement.section.keyword:
                case "resolvers":
                    _resolvers(traits, statement)
                case "backend" | "listen" | "defaults" | "frontend":
                    _proxy(traits, statement.section, statement.values)
    return traits


def _resolvers(traits: Traits, statement: Statement) -> None:
    name, values = statement.section.name, statement.values
    if values[0] == "resolvers" and name not in traits.resolvers_names:
        traits.resolvers_names.append(name)
    if statement.is_conditional:
        return  # it may not apply
    transport = transport_of(values)
    if transport is not None:
        traits.asks_engine.setdefault(name, set()).add(transport)


def _proxy(traits: Traits, section: Section, values: list[str]) -> None:
    name = utf8(section.name) or section.keyword
    match values:
        case ["load-server-state-from-file", kind, *_] if kind != "none":
            traits.uses_server_state_file = True
        case ["cookie", _, *options] if "dynamic" in options:
            traits.dynamic_cookie_proxies.append(name)
        case ["stick-table", *options] if "peers" not in options:
            traits.stick_tables_without_peers.append(name)
        case ["server" | "server-template" | "default-server", *options]:
            key = options[options.index("hash-key") + 1] if "hash-key" in options[:-1] else "id"
            if key in ("addr", "addr-port") and name not in traits.hash_by_address_proxies:
                traits.hash_by_address_proxies.append(name)
