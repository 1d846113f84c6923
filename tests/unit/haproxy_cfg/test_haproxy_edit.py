"""Editing one server line: what is changed, what is kept, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remedy.haproxy_cfg.edit import ConfigEditError, ResolversSection, ServerEdit, edit_config

EDIT = ServerEdit("a.cfg", 2, "api-1", 8080)
NAMED = replace(EDIT, resolvers="remedy", init_addr="last,libc,none")
ADDED = b" resolvers remedy init-addr last,libc,none"


def edited(line: bytes, edit: ServerEdit = EDIT) -> bytes:
    text = edit_config(b"backend b\n" + line + b"\n", [edit], None)
    return text.removeprefix(b"backend b\n").removesuffix(b"\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\tserver s\t172.17.0.1:5001  check", b"\tserver s\tapi-1:8080  check"),
        (b"server s ipv4@172.17.0.1:5001", b"server s ipv4@api-1:8080"),
        (b"server s tcp4@172.17.0.1:5001", b"server s tcp4@api-1:8080"),
        (b'server s "${GATEWAY}:5001" check', b"server s api-1:8080 check"),
        (b"server s '172.17.0.1':5001", b"server s api-1:8080"),
        (b"server s [fd00::1]:5001", b"server s api-1:8080"),
        (b"server s 172.17.0.1:5001#old", b"server s api-1:8080#old"),
        (b"server-template s 3 172.17.0.1:5001", b"server-template s 3 api-1:8080"),
        (b"server 172.17.0.1:5001 172.17.0.1:5001", b"server 172.17.0.1:5001 api-1:8080"),
        (b"server s 172.17.0.1:5001 cookie caf\xe9", b"server s api-1:8080 cookie caf\xe9"),
    ],
)
def test_only_the_address_word_changes(before: bytes, after: bytes) -> None:
    assert edited(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"server s 10.0.0.1:1 check", b"server s api-1:8080 check" + ADDED),
        (b"server s 10.0.0.1:1 check  # why", b"server s api-1:8080 check" + ADDED + b"  # why"),
        (b"server s 10.0.0.1:1 check#why", b"server s api-1:8080 check" + ADDED + b"#why"),
        (b"server s 10.0.0.1:1 check \t", b"server s api-1:8080 check" + ADDED + b" \t"),
        (b"server s 10.0.0.1:1 cookie '#'", b"server s api-1:8080 cookie '#'" + ADDED),
        # What stands behind a carriage return haproxy does not read.
        (b"server s 10.0.0.1:1 check\rx", b"server s api-1:8080 check" + ADDED + b"\rx"),
        (b"server s 10.0.0.1:1\r", b"server s api-1:8080" + ADDED + b"\r"),
    ],
)
def test_options_are_added_behind_the_last_word(before: bytes, after: bytes) -> None:
    assert edited(before, NAMED) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"server s 10.0.0.1:1 check port 5001", b"server s api-1:8080 check port 9"),
        (b'server s 10.0.0.1:1 port "$P" check', b"server s api-1:8080 port 9 check"),
        (b"server s 10.0.0.1:1 port 1 port 2", b"server s api-1:8080 port 1 port 9"),
        (b"server s 10.0.0.1:1 cookie port check", b"server s api-1:8080 cookie port check port 9"),
        (b"server port 10.0.0.1:1 check", b"server port api-1:8080 check port 9"),
    ],
)
def test_a_check_port_is_replaced_where_it_stands_and_added_where_it_is_inherited(before: bytes, after: bytes) -> None:
    assert edited(before, replace(EDIT, check_port=9)) == after


@pytest.mark.parametrize(
    "host",
    [
        "", "a b", "a\nb", "a;b", "a'b", 'a"b', "a$b", "a#b", "a\\b", "a\0b", "a@b", "a/b", "-a", ".a", "é", "a,b",
        "123", "0x7f.1", "127.1", "256.0.0.1",  # libc takes these for addresses
    ],
)  # fmt: skip
def test_a_host_that_is_none_is_never_written(host: str) -> None:
    with pytest.raises(ConfigEditError, match=r"a\.cfg:2"):
        edited(b"server s 10.0.0.1:1", replace(EDIT, host=host))


@pytest.mark.parametrize("host", ["api_1", "Api-1", "a.b-c", "172.18.0.2", "1a", "::1", "fd00::2"])
def test_names_and_addresses_are_written(host: str) -> None:
    wanted = f"[{host}]" if ":" in host else host
    assert edited(b"server s 10.0.0.1:1", replace(EDIT, host=host)) == f"server s {wanted}:8080".encode()


@pytest.mark.parametrize(
    ("line", "edit"),
    [
        (b"server s", EDIT),
        (b"server-template s 3", EDIT),
        (b"bind :80", EDIT),
        (b"# server s 10.0.0.1:1", EDIT),
        (b"server s 10.0.0.1:1 cookie 'x", EDIT),
        (b'server s "${ADDRESS_AND_MORE[*]}"', EDIT),
        (b'server s 10.0.0.1:1 "" check', EDIT),
        (b"server s 10.0.0.1:1", replace(EDIT, line=4)),
        (b"server s 10.0.0.1:1", replace(EDIT, line=0)),
        (b"server s 10.0.0.1:1", replace(EDIT, port=0)),
        (b"server s 10.0.0.1:1", replace(EDIT, port=65536)),
        (b"server s 10.0.0.1:1", replace(EDIT, check_port=70000)),
        (b"server s 10.0.0.1:1", replace(EDIT, resolvers="a b")),
        (b"server s 10.0.0.1:1" + b" check" * 60, NAMED),
    ],
)
def test_a_line_that_cannot_be_edited_is_named(line: bytes, edit: ServerEdit) -> None:
    with pytest.raises(ConfigEditError, match=f"a\\.cfg:{edit.line}"):
        edited(line, edit)


def test_a_section_comes_behind_the_last_line_with_the_files_endings() -> None:
    text = edit_config(b"backend b\r\n server s x:1", [], ResolversSection("remedy"))

    assert text.startswith(b"backend b\r\n server s x:1\r\n\r\n#")
    assert text.count(b"\n") == text.count(b"\r\n")
    assert text.endswith(b"\r\n")


def test_no_section_is_added_where_it_would_hold_at_times_only() -> None:
    with pytest.raises(ConfigEditError, match=r"no \.endif"):
        edit_config(b".if 1\nbackend b\n", [], ResolversSection("remedy"))
    assert edit_config(b".if 1\nbackend b\n.endif\n", [], ResolversSection("remedy")).count(b"resolvers remedy") == 1
