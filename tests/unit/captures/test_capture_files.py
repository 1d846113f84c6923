from __future__ import annotations

from pathlib import Path

import pytest
from captured import DIRECTORY, NAMES, files

from remedy.captures import pack
from remedy.captures.files import CaptureFiles, find_captures, pack_capture, read_capture
from remedy.errors import InputError


def unpack(capture: CaptureFiles, into: Path) -> Path:
    directory = into / capture.name
    directory.mkdir(parents=True)
    for name, content in capture.content.items():
        (directory / name).write_bytes(content)
    return directory


def test_a_directory_and_its_compressed_form_are_the_same_capture(tmp_path):
    capture = files(NAMES[0])
    assert read_capture(unpack(capture, tmp_path)) == capture


def test_what_is_packed_is_what_was_there(tmp_path):
    # Not the committed bytes: another liblzma may compress better.
    unpack(files(NAMES[0]), tmp_path / "plain")
    assert pack.main([str(tmp_path), str(tmp_path / "plain")]) == 0
    assert read_capture(tmp_path / f"{NAMES[0]}.tar.xz") == files(NAMES[0])


def test_neither_order_nor_time_of_the_files_changes_the_packed_bytes():
    capture = files(NAMES[0])
    turned = CaptureFiles("other", dict(reversed(list(capture.content.items()))))
    assert pack_capture(turned) == pack_capture(capture)


def test_a_capture_is_found_by_itself_and_among_others(tmp_path):
    plain = unpack(files(NAMES[0]), tmp_path)
    (tmp_path / "README.md").write_text("not a capture")
    (tmp_path / "empty").mkdir()
    assert find_captures(plain) == [plain]
    assert find_captures(tmp_path) == [plain]
    assert len(find_captures(DIRECTORY)) == len(NAMES) == 22


def test_a_directory_named_with_a_dot_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(unpack(files(NAMES[0]), tmp_path))
    assert read_capture(Path(".")).name == NAMES[0]


@pytest.mark.parametrize("content", [b"", b"not xz at all"])
def test_a_damaged_archive_is_named(tmp_path, content):
    path = tmp_path / "bad.tar.xz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.tar\.xz"):
        read_capture(path)


def test_no_capture_at_all_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="no capture"):
            find_captures(path)


def test_a_file_that_is_not_json_is_named():
    with pytest.raises(InputError, match=r"x/sysctls\.json"):
        CaptureFiles("x", {"sysctls.json": b"{"}).document("sysctls.json")
