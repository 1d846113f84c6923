"""What a compose file calls the project's default network: a service that names no network is on that one.

The engine labels the networks that compose made with their key in the file. One that compose only uses (`external`)
has no label, and the file alone says that it is the default.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

MAXIMUM_BYTES = 128 << 10  # YAML is read at a hundred kilobytes a second or two


def default_network_of(files: Sequence[bytes]) -> str | None:
    """The name that these files give the network `default`; None where they leave it to compose. A later file wins."""
    name = None
    for raw in files:
        # Nothing is parsed that cannot say it.
        if b"default" in raw and (b"external" in raw or b"name" in raw) and len(raw) <= MAXIMUM_BYTES:
            name = _named(raw) or name
    return name


def _named(raw: bytes) -> str | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # Round trip: the one loader that takes compose's own tags (!reset) for what they are.
        document = YAML(typ="rt").load(io.BytesIO(raw))
    except (YAMLError, ValueError, RecursionError):
        return None  # compose will say so itself
    network = _at(_at(document, "networks"), "default")
    external = _at(network, "external")
    # `external: {name: X}` is the form before compose 1.27.
    name = _at(network, "name") or _at(external, "name")
    return name if isinstance(name, str) and "$" not in name else None


def _at(node: object, key: str) -> object:
    return node.get(key) if isinstance(node, Mapping) else None
