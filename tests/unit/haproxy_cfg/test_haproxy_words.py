"""Words as haproxy's own parse_line() splits them: each case here was seen with it, 2.6 to 3.2."""

from __future__ import annotations

import pytest

from remedy.haproxy_cfg.words import split

ENVIRONMENT = {"HOST": "10.0.0.1", "EMPTY": "", "LIST": "a  b"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("server s 10.0.0.1:80", ["server", "s", "10.0.0.1:80"]),
        ("\t server\ts  x ", ["server", "s", "x"]),
        ("check#comment", ["check"]),
        ("a '#' \"#\" \\# b", ["a", "#", "#", "#", "b"]),
        ("a\\ b", ["a b"]),
        ("a\\b \\1 \\[", ["a\\b", "\\1", "\\["]),  # no escapes: the backslash stays
        ("a \\", ["a", "\\"]),  # no continuation
        ("\\$HOME $HOME '$HOST'", ["\\$HOME", "$HOME", "$HOST"]),
        ('"\\$HOST" "\\n" "\\\'" "\\x41"', ["$HOST", "\n", "'", "A"]),
        ("'\\n' '\\'", ["\\n", "\\"]),
        ("\\x41\\x7a", ["Az"]),
        ("a\rb c", ["a"]),  # a carriage return behind a word ends the line
        ("a \rb", ["a", "b"]),  # among blanks it is one of them
        ("a\0b", ["a"]),
        ("a\vb\fc", ["a", "b", "c"]),
        ("a\x85b\xa0c", ["a\x85b\xa0c"]),  # blanks to Python only
        ("x\"y z\"'w'", ["xy zw"]),
        ("a '' b", ["a", "", "b"]),
        ('"$HOST:80" "${HOST}:80" "${NONE-1.2.3.4}"', ["10.0.0.1:80", "10.0.0.1:80", "1.2.3.4"]),
        ('"${EMPTY-x}y"', ["y"]),  # the default is for one that is not set
        ('"<${LIST[*]}>"', ["<a", "b>"]),
        ('"${EMPTY[*]}" "${NONE[*]-c d}"', ["c", "d"]),
    ],
)
def test_a_line_is_split_as_haproxy_does(line: str, words: list[str]) -> None:
    assert [word.value for word in split(line, ENVIRONMENT)] == words


@pytest.mark.parametrize("line", ['a "b', "a 'b", '"a\rb"', "\\x4", '"${HOST"', '"$"', '"${1}"', '"${HOST[1]}"'])
def test_what_haproxy_rejects_raises(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        split(line, ENVIRONMENT)


def test_an_unknown_variable_is_named() -> None:
    with pytest.raises(ValueError, match="NONE is not known"):
        split('"$NONE"', ENVIRONMENT)


def test_without_an_environment_variables_stay_as_they_are_written() -> None:
    words = split('s "${HOST}:80" "${LIST[*]}"')

    assert [(word.value, word.is_expanded) for word in words] == [
        ("s", False),
        ("${HOST}:80", False),
        ("${LIST[*]}", True),
    ]


def test_places_include_the_quotes() -> None:
    line = '  a "b c"#d'

    assert [line[word.start : word.end] for word in split(line)] == ["a", '"b c"']
