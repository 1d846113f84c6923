"""The committed captures, read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from remedy.captures.facts import load_capture
from remedy.captures.files import CaptureFiles, capture_name, find_captures, read_capture
from remedy.facts.model import HostFacts

DIRECTORY = Path(__file__).parent
NAMES = tuple(capture_name(path) for path in find_captures(DIRECTORY))
VARIANT = "28.5.2-iptables-proxy-on-variant"


@cache
def files(name: str) -> CaptureFiles:
    return read_capture(DIRECTORY / f"{name}.tar.xz")


@cache
def facts(name: str) -> HostFacts:
    return load_capture(files(name))
