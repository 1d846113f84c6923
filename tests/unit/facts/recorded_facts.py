"""Recorded state of real engines: what programs printed and the kernel answered."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from remedy.facts.containers import parse_container
from remedy.facts.model import Container

DATA = Path(__file__).parent / "data"

ENGINES = (
    "20.10.24-iptables-proxy-on-variant",
    "26.1.5-iptables-proxy-off",
    "28.5.2-iptables-proxy-on-variant",
    "29.7.2-iptables-proxy-off",
    "29.7.2-nftables-proxy-on",
)


def text(directory: str, name: str) -> str:
    """Return a recorded text."""
    return (DATA / directory / name).read_text()


def document(directory: str, name: str) -> Any:
    """Return a recorded JSON document."""
    return json.loads(text(directory, name))


@cache
def containers(engine: str) -> dict[str, Container]:
    """Return an engine's containers by name."""
    parsed = [parse_container(inspect) for inspect in document(engine, "container-inspect.json")]
    return {container.name: container for container in parsed}
