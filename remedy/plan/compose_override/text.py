"""The override file as text: what it says of each service, and what an earlier one of remedy's said."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAXIMUM_BYTES = 64 << 10
_HEADER = """\
# Written by remedy. Keeps these services on the network {network} when compose makes their containers again:
# haproxy finds them there by name. `remedy rollback` takes this file away. To do that by hand: first lead haproxy back
# (or roll back), then remove the file; the next `docker compose up -d` makes the containers without that network.
"""


@dataclass(frozen=True, slots=True)
class Stay:
    """What the file says of one service.

    networks: the keys of those that it has now; compose adds to a list or a mapping of networks, but a service that
    names none is on `default` only until a file names another for it (seen with compose 2.26 and 2.40).
    leaves_bridge: it has `network_mode: bridge`, beside which compose allows no networks.
    """

    service: str
    networks: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    leaves_bridge: bool = False


@dataclass(frozen=True, slots=True)
class NetworkKey:
    """The network in the file. is_external: the project does not define it itself."""

    key: str
    name: str
    is_external: bool = True


def override_text(network: NetworkKey, stays: Sequence[Stay]) -> bytes:
    """The override file."""
    from ruamel.yaml import YAML

    document: dict[str, object] = {
        "services": {_key(stay.service): _service(network, stay) for stay in sorted(stays, key=lambda s: s.service)}
    }
    if network.is_external:
        document["networks"] = {_key(network.key): {"external": True, "name": network.name}}
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    stream = io.BytesIO()
    yaml.dump(document, stream)
    shown = network.name if network.name.isprintable() else repr(network.name)
    return _HEADER.format(network=shown).encode() + stream.getvalue()


def _service(network: NetworkKey, stay: Stay) -> dict[str, object]:
    joined: dict[str, object] = {_key(key): {} for key in stay.networks if key != network.key}
    joined[_key(network.key)] = {"aliases": [_key(alias) for alias in stay.aliases]} if stay.aliases else {}
    reset = {"network_mode": _reset()} if stay.leaves_bridge else {}
    return {**reset, "networks": joined}


def _key(text: str) -> str:
    """In quotes where YAML 1.1 and 1.2 take it for different things: `1_000`, `.inf`, `0o7`."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return text if text[:1].isalpha() else DoubleQuotedScalarString(text)


def _reset() -> object:
    """`!reset null`: compose takes the key away (2.18 and later)."""
    from ruamel.yaml.comments import TaggedScalar

    return TaggedScalar(value="null", style=None, tag="!reset")


def services_in(raw: bytes | None) -> dict[str, bool]:
    """The services of an override of remedy's -> whether it takes their network_mode away; edited by hand, perhaps."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if raw is None or len(raw) > MAXIMUM_BYTES:
        return {}
    try:
        document: Any = YAML(typ="rt").load(io.BytesIO(raw))
    except (YAMLError, ValueError, RecursionError):
        return {}
    services = document.get("services") if isinstance(document, Mapping) else None
    if not isinstance(services, Mapping):
        return {}
    return {str(name): isinstance(said, Mapping) and "network_mode" in said for name, said in services.items()}
