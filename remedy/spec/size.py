"""Amounts of memory as people write them: 512KiB, 128MiB, 1GiB."""

from __future__ import annotations

import re

PATTERN = r"^[1-9]\d{0,5}(KiB|MiB|GiB)$"
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_size(text: str) -> int:
    """Return the bytes. Raises ValueError that says what is expected."""
    if not re.fullmatch(PATTERN, text, flags=re.ASCII):
        raise ValueError(f"{text!r} is not an amount of memory such as 128MiB or 1GiB")
    return int(text[:-3]) * _BYTES[text[-3:]]


def spell_size(size: int) -> str:
    """Return bytes as people read them: in MiB, and below one of them in KiB."""
    return f"{size / (1 << 20):.0f} MiB" if size >= 10 << 20 else f"{size / (1 << 10):.0f} KiB"
