"""resolv.conf and hosts of a container that joined a network and left it again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from remedy.actions import name_files
from remedy.actions.name_files import (
    ask_engine_dns,
    read_name_files,
    restore_name_files,
    restored_hosts,
    with_engine_dns,
)

ON_HOSTS_DNS = b"nameserver 10.98.0.1\nsearch example.org\noptions timeout:1\n"
ON_ENGINES_DNS = b"nameserver 127.0.0.11\nsearch example.org\noptions timeout:1 ndots:0\n"
HOSTS = b"127.0.0.1\tlocalhost\n172.17.0.3\tabc\n"


@pytest.fixture
def container(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "hosts").write_bytes(HOSTS)
    (tmp_path / "resolv.conf").write_bytes(ON_HOSTS_DNS)
    digest = hashlib.sha256(ON_HOSTS_DNS).hexdigest()
    (tmp_path / "resolv.conf.hash").write_text(f"sha256:{digest}")
    networks = {"bridge": {"IPAddress": "172.17.0.3", "GlobalIPv6Address": ""}}
    return {
        "HostsPath": str(tmp_path / "hosts"),
        "ResolvConfPath": str(tmp_path / "resolv.conf"),
        "NetworkSettings": {"Networks": networks},
        "State": {"StartedAt": "2026-11-25T08:00:00Z"},
    }


def on_user_network(container: dict[str, Any]) -> dict[str, Any]:
    networks = {**container["NetworkSettings"]["Networks"], "lb": {"IPAddress": "172.30.0.2"}}
    return {**container, "NetworkSettings": {"Networks": networks}}


def test_what_joining_and_leaving_left_is_put_back(container: dict[str, Any], tmp_path: Path) -> None:
    before = read_name_files(container)
    (tmp_path / "resolv.conf").write_bytes(ON_ENGINES_DNS)
    (tmp_path / "hosts").write_bytes(b"127.0.0.1\tlocalhost\n")
    inode = (tmp_path / "resolv.conf").stat().st_ino

    restore_name_files(container, before)

    assert (tmp_path / "resolv.conf").read_bytes() == ON_HOSTS_DNS
    assert (tmp_path / "hosts").read_bytes() == HOSTS
    assert (tmp_path / "resolv.conf").stat().st_ino == inode


def test_the_engines_dns_stays_while_another_network_needs_it(container: dict[str, Any], tmp_path: Path) -> None:
    before = read_name_files(container)
    (tmp_path / "resolv.conf").write_bytes(ON_ENGINES_DNS)

    restore_name_files(on_user_network(container), before)

    assert (tmp_path / "resolv.conf").read_bytes() == ON_ENGINES_DNS


def test_what_somebody_wrote_meanwhile_is_kept(container: dict[str, Any], tmp_path: Path) -> None:
    before = read_name_files(container)
    (tmp_path / "resolv.conf").write_bytes(b"nameserver 192.0.2.53\n")
    (tmp_path / "hosts").write_bytes(b"127.0.0.1\tlocalhost\n192.0.2.9\tmine\n")

    restore_name_files(container, before)

    assert (tmp_path / "resolv.conf").read_bytes() == b"nameserver 192.0.2.53\n"
    assert (tmp_path / "hosts").read_bytes() == b"127.0.0.1\tlocalhost\n192.0.2.9\tmine\n172.17.0.3\tabc\n"


def test_a_container_that_comes_back_is_told_of_the_engines_dns(container: dict[str, Any], tmp_path: Path) -> None:
    ask_engine_dns(on_user_network(container))

    assert (tmp_path / "resolv.conf").read_bytes() == ON_ENGINES_DNS


def test_an_edited_file_is_left_alone(container: dict[str, Any], tmp_path: Path) -> None:
    edited = ON_HOSTS_DNS + b"# mine\n"
    (tmp_path / "resolv.conf").write_bytes(edited)

    ask_engine_dns(on_user_network(container))

    assert (tmp_path / "resolv.conf").read_bytes() == edited


def test_nothing_is_written_through_a_link(container: dict[str, Any], tmp_path: Path) -> None:
    before = read_name_files(container)
    (tmp_path / "victim").write_bytes(b"secret\n")
    (tmp_path / "hosts").unlink()
    (tmp_path / "hosts").symlink_to(tmp_path / "victim")

    with pytest.raises(Exception, match="symbolic link"):
        restore_name_files(container, before)

    assert (tmp_path / "victim").read_bytes() == b"secret\n"


def test_lines_of_addresses_that_are_gone_do_not_come_back() -> None:
    assert restored_hosts(HOSTS, b"127.0.0.1\tlocalhost\n", ["172.17.0.9"]) is None


def test_own_options_for_ndots_are_kept() -> None:
    assert with_engine_dns(b"nameserver 1.1.1.1\noptions ndots:5\n") == b"nameserver 127.0.0.11\noptions ndots:5\n"


def test_the_containers_directory_is_not_needed() -> None:
    assert read_name_files({"HostsPath": "", "ResolvConfPath": f"/nowhere/{os.getpid()}"}) == {"started": "None"}


def test_one_that_was_started_since_gets_the_nameservers_of_today(
    container: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_name_files(container)
    (tmp_path / "resolv.conf").write_bytes(ON_ENGINES_DNS)
    (tmp_path / "host").write_text("nameserver 127.0.0.53\nnameserver 192.0.2.7\n")
    monkeypatch.setattr(name_files, "_HOST_RESOLVERS", (tmp_path / "host",))
    again = {**container, "State": {"StartedAt": "2026-11-25T09:00:00Z"}}

    restore_name_files(again, before)
    assert (tmp_path / "resolv.conf").read_bytes() == ON_HOSTS_DNS.replace(b"10.98.0.1", b"192.0.2.7")

    (tmp_path / "resolv.conf").write_bytes(ON_ENGINES_DNS)
    restore_name_files({**again, "HostConfig": {"Dns": ["192.0.2.8"]}}, {})
    assert (tmp_path / "resolv.conf").read_bytes() == ON_HOSTS_DNS.replace(b"10.98.0.1", b"192.0.2.8")


def test_its_own_line_is_kept_also_where_it_has_another_address_than_before(
    container: dict[str, Any], tmp_path: Path
) -> None:
    """20.10 takes a container's lines on all networks out when it leaves one."""
    leaving = b"127.0.0.1\tlocalhost\n172.17.0.3\tabc\n172.30.0.2\tabc\n"
    (tmp_path / "hosts").write_bytes(b"127.0.0.1\tlocalhost\n")

    restore_name_files(container, {}, leaving)

    assert (tmp_path / "hosts").read_bytes() == HOSTS
