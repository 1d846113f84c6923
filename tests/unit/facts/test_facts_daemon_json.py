"""daemon.json: every byte is kept, and what is wrong is said with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remedy.facts.daemon_json import MAXIMUM_BYTES, parse_daemon_json, read_daemon_json

PROBLEMS = {
    "not JSON": (b'{"a": 1,\n  b: 2}', "2:3: Expecting property name enclosed in double quotes"),
    "truncated": (b'{"a": {', "1:8: Expecting property name enclosed in double quotes"),
    "trailing text": (b"{} x", "1:4: Extra data"),
    "comment": (b'{\n// no\n"a": 1}', "2:1: Expecting property name enclosed in double quotes"),
    "array": (b"[]", "the top level is not an object"),
    "null": (b"null", "the top level is not an object"),
    "duplicate": (b'{"a": 1, "a": 2}', "duplicate key 'a': the engine takes the last one"),
    "nested duplicate": (b'{"x": {"k": 1, "k": 1}}', "duplicate key 'k': the engine takes the last one"),
    "not UTF-8": (b'{"a": "\xff"}', "not valid UTF-8 at byte 7"),
    "NaN": (b'{"a": NaN}', "NaN is not JSON"),
}


@pytest.mark.parametrize(("raw", "problem"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_wrong_is_said_with_its_place(raw: bytes, problem: str) -> None:
    assert parse_daemon_json(raw)[1] == problem


def test_too_deep_nesting_is_a_problem_and_no_crash() -> None:
    parsed, problem = parse_daemon_json(b'{"a":' * 100_000)
    assert parsed is None
    assert problem


@pytest.mark.parametrize("raw", [b"", b"  \n"])
def test_an_empty_file_is_an_empty_configuration(raw: bytes) -> None:
    assert parse_daemon_json(raw) == ({}, None)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_problem_by_itself(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes('{"live-restore": true}'.encode(encoding))
    found = read_daemon_json(path)
    assert found.has_bom
    assert found.raw == path.read_bytes()
    assert found.parsed == {"live-restore": True}
    assert found.problem is None


def test_a_file_is_described_to_the_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(b'{ "userland-proxy" : false}\r\n')
    path.chmod(0o640)
    found = read_daemon_json(path)
    assert found.raw == b'{ "userland-proxy" : false}\r\n'
    assert found.parsed == {"userland-proxy": False}
    assert (found.mode, found.uid, found.inode) == (0o640, os.getuid(), path.stat().st_ino)
    assert found.mtime is not None
    assert found.problem is None


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    found = read_daemon_json(tmp_path / "daemon.json")
    assert not found.exists
    assert found.problem is None


def test_a_symbolic_link_is_said_and_still_read(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text('{"debug": true}')
    (tmp_path / "daemon.json").symlink_to("real.json")
    found = read_daemon_json(tmp_path / "daemon.json")
    assert found.is_symlink
    assert found.symlink_target == "real.json"
    assert found.parsed == {"debug": True}
    assert found.problem == "a symbolic link to real.json"


def test_a_dangling_link_is_said(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").symlink_to("nowhere")
    problem = read_daemon_json(tmp_path / "daemon.json").problem
    assert problem == "a symbolic link to nowhere, which cannot be read: No such file or directory"


def test_a_link_to_a_broken_file_says_both(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("[]")
    (tmp_path / "daemon.json").symlink_to("real.json")
    problem = read_daemon_json(tmp_path / "daemon.json").problem
    assert problem == "a symbolic link to real.json; the top level is not an object"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, make: object) -> None:
    path = tmp_path / "daemon.json"
    make(path)  # type: ignore[operator]
    assert read_daemon_json(path).problem == "it is not a regular file"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(b" " * (MAXIMUM_BYTES + 1))
    found = read_daemon_json(path)
    assert found.raw is None
    assert found.problem == f"larger than {MAXIMUM_BYTES} bytes"


def test_half_a_surrogate_pair_becomes_what_go_makes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text('{"labels": ["\\ud800x"]}')
    assert read_daemon_json(path).parsed == {"labels": ["\ufffdx"]}
