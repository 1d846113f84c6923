"""A directory is opened for a write by root only where nobody else can lead it elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remedy.errors import InputError
from remedy.host.directories import open_directory

SOMEBODY = 12345
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


def test_the_path_stays_with_the_directory_when_it_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    with open_directory(str(tmp_path / "a"), 0) as directory:
        (tmp_path / "a").rename(tmp_path / "b")
        (directory / "file").write_text("x")

    assert (tmp_path / "b" / "file").read_text() == "x"


def test_roots_symbolic_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real" / "app").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "relative").symlink_to("link/../real")

    for path in ("link/app", "relative/app"):
        with open_directory(str(tmp_path / path), 0) as directory:
            assert os.path.samefile(directory, tmp_path / "real" / "app")


def test_a_users_symbolic_link_is_not(tmp_path: Path) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "roots")
    os.chown(tmp_path / "link", SOMEBODY, SOMEBODY, follow_symlinks=False)

    with pytest.raises(InputError) as caught, open_directory(str(tmp_path / "link"), SOMEBODY):
        pass
    assert "symbolic link of the uid 12345" in str(caught.value)


@pytest.mark.parametrize(("owner", "mode"), [(SOMEBODY, 0o755), (0, 0o777)])
def test_a_directory_of_others_is_refused(tmp_path: Path, owner: int, mode: int) -> None:
    os.chown(tmp_path, owner, owner)
    tmp_path.chmod(mode)

    with pytest.raises(InputError), open_directory(str(tmp_path), 0):
        pass


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(OSError, match="symbolic links"), open_directory(str(tmp_path / "a"), 0):
        pass


def test_a_file_in_the_way_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(NotADirectoryError), open_directory(str(tmp_path / "file" / "x"), 0):
        pass
