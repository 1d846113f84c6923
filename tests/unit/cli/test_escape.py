"""Host text can do nothing to a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remedy.cli.views.escape import escape, escape_lines

any_text = st.text(st.characters(exclude_categories=[]))


@given(any_text)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = escape(text)
    assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()  # no lone surrogates: every stream can take it


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_printable_ascii_is_left_alone(text: str) -> None:
    assert escape(text) == text


@given(any_text)
def test_lines_are_escaped_one_by_one(text: str) -> None:
    assert len(escape_lines(text)) == text.count("\n") + 1
    assert all("\n" not in line and "\x1b" not in line for line in escape_lines(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\rc\td\x00", r"a\nb\rc\td\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("[bold]no markup[/]", "[bold]no markup[/]"),
        ("größe 東京", "größe 東京"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert escape(text) == shown
