"""Text of the host made safe for a terminal: the only way in which foreign text reaches one."""

from __future__ import annotations

import unicodedata

# Cc: controls (ESC, CSI as one character, newline); Cf: bidi overrides, zero-width and tag characters;
# Cs: lone surrogates, which no stream can encode; Co/Cn: without a meaning, so without a look;
# Zl/Zp: line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def escape(text: object) -> str:
    r"""Return the text on one line, with everything that a terminal would obey written as \xNN or \uNNNN.

    Rich markup needs no escaping because the views hand `rich.text.Text` over, never markup.
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(character if _is_safe(character) else _named(character) for character in shown)


def escape_lines(text: object) -> list[str]:
    """Return the text's lines, each escaped; a tab becomes four blanks."""
    return [escape(line.replace("\t", "    ")) for line in str(text).split("\n")]


def _is_safe(character: str) -> bool:
    return unicodedata.category(character) not in _UNSAFE_CATEGORIES


def _named(character: str) -> str:
    point = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
