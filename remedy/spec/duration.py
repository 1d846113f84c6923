"""Durations as people write them: 90s, 2m, 1h."""

from __future__ import annotations

import re

PATTERN = r"^[1-9]\d{0,4}(s|m|h)$"
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> int:
    """Return the seconds. Raises ValueError that says what is expected."""
    if not re.fullmatch(PATTERN, text, flags=re.ASCII):
        raise ValueError(f"{text!r} is not a duration such as 60s, 5m or 1h")
    return int(text[:-1]) * _SECONDS[text[-1]]
