"""Writing in place: the same inode, nothing lost to a kill, nothing written over that is not ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remedy.errors import StalePlanError
from remedy.haproxy import config_file
from remedy.haproxy.config_file import (
    Content,
    check_writable,
    content_of,
    is_mixture,
    overwrite,
    show_original,
    write_original,
    write_target,
)
from remedy.plan.actions import ConfigFile, FileContent

ORIGINAL = b"server api1 172.17.0.1:5001 check\r\nserver api2 172.17.0.1:5002\n"
TARGET = b"server api1 dev1-api-1:8080 check\r\nserver api2 dev1-api-2:8080 resolvers remedy\nresolvers remedy\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "haproxy.cfg"
    found.write_bytes(ORIGINAL)
    found.chmod(0o640)
    return found


def planned(path: Path) -> ConfigFile:
    status = path.stat()
    original = FileContent(path=str(path), raw=ORIGINAL, mode=0o640, uid=os.getuid(), gid=os.getgid())
    content = original.model_copy(update={"raw": TARGET})
    return ConfigFile(
        path="/haproxy.cfg", original=original, content=content, device=status.st_dev, inode=status.st_ino
    )


def test_the_inode_and_the_mode_stay_and_the_bytes_come_back(path: Path) -> None:
    file = planned(path)
    before = path.stat()
    assert content_of(file) is Content.ORIGINAL
    write_target(file)
    assert (path.read_bytes(), content_of(file)) == (TARGET, Content.TARGET)
    write_target(file)
    write_original(file)
    after = path.stat()
    assert path.read_bytes() == ORIGINAL
    assert (after.st_ino, after.st_mode, after.st_uid) == (before.st_ino, before.st_mode, before.st_uid)


class KilledError(Exception):
    """Stands for kill -9."""


@pytest.mark.parametrize("start", [ORIGINAL, TARGET])
def test_a_kill_after_any_byte_is_known_again_and_finished_either_way(
    path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    wanted = TARGET if start == ORIGINAL else ORIGINAL
    for limit in range(0, len(TARGET) + len(ORIGINAL), 3):
        path.write_bytes(start)
        left = limit

        def write(descriptor: int, raw: bytes, position: int) -> None:
            nonlocal left
            os.pwrite(descriptor, raw[:left], position)
            left -= len(raw)
            if left < 0:
                raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(config_file, "_write_at", write)
            descriptor = os.open(path, os.O_RDWR)
            try:
                overwrite(descriptor, start, wanted)
            except KilledError:
                pass
            finally:
                os.close(descriptor)
        file = planned(path)
        assert content_of(file) is not Content.FOREIGN, limit
        (write_target if limit % 2 else write_original)(file)
        assert path.read_bytes() == (TARGET if limit % 2 else ORIGINAL)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_a_mixture_is_made_of_the_two_contents_alone(one: bytes, other: bytes, now: bytes) -> None:
    assert is_mixture(one, one, other)
    assert is_mixture(other, one, other)
    if is_mixture(now, one, other):
        assert all(byte in (one[i : i + 1] + other[i : i + 1]) for i, byte in enumerate(now))


def test_an_edited_file_is_not_written_over(path: Path) -> None:
    file = planned(path)
    path.write_bytes(ORIGINAL + b"# mine\n")
    assert content_of(file) is Content.FOREIGN
    with pytest.raises(StalePlanError, match="edited since"):
        write_target(file)
    assert path.read_bytes() == ORIGINAL + b"# mine\n"


def test_a_replaced_file_is_not_written_over(path: Path) -> None:
    file = planned(path)
    # The old one is kept, so that its number cannot be given to the new one.
    path.rename(path.with_name("kept"))
    path.write_bytes(ORIGINAL)
    for attempt in (write_target, check_writable, content_of):
        with pytest.raises(StalePlanError, match="not the file any more"):
            attempt(file)


@pytest.mark.parametrize("what", ["link", "pipe", "nothing"])
def test_what_lies_in_its_place_is_never_followed(path: Path, tmp_path: Path, what: str) -> None:
    file = planned(path)
    path.rename(tmp_path / "elsewhere")
    if what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(path)
    with pytest.raises(StalePlanError):
        write_target(file)
    if what != "nothing":
        with pytest.raises(StalePlanError):
            write_original(file)
    assert (tmp_path / "elsewhere").read_bytes() == ORIGINAL


def test_a_removed_file_is_made_again(path: Path) -> None:
    file = planned(path)
    path.unlink()
    write_original(file)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (ORIGINAL, 0o640)


def test_a_full_disk_is_met_before_anything_is_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = planned(path)

    def full(_descriptor: int, _raw: bytes, position: int) -> None:
        assert position >= len(ORIGINAL)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(config_file, "_write_at", full)
    with pytest.raises(OSError, match="No space"):
        write_target(file)
    assert path.read_bytes() == ORIGINAL


def test_a_mount_that_shows_the_replaced_file_is_written_through(path: Path, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/haproxy.cfg").hardlink_to(path)
    file = planned(path)
    write_target(file)
    path.unlink()
    path.write_bytes(b"edited")
    write_original(file)
    root = os.open(tmp_path / "root", os.O_PATH)
    show_original(file, root, os.getpid())
    os.close(root)
    assert (tmp_path / "root/haproxy.cfg").read_bytes() == ORIGINAL
    assert path.read_bytes() == ORIGINAL


def test_a_device_may_have_another_number_after_a_reboot(path: Path) -> None:
    file = planned(path).model_copy(update={"device": path.stat().st_dev + 1})
    assert content_of(file) is Content.ORIGINAL
    write_target(file)
    assert content_of(file) is Content.TARGET
    path.write_bytes(ORIGINAL + b"# mine\n")
    with pytest.raises(StalePlanError, match="not the file any more"):
        content_of(file)
