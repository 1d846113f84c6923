"""Configurations as people write them: read whole, written back to the byte, edited only where it is meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remedy.haproxy_cfg.document import Document
from remedy.haproxy_cfg.edit import ResolversSection, ServerEdit, edit_config
from remedy.haproxy_cfg.servers import ServerLine, read_servers
from remedy.haproxy_cfg.traits import read_traits

CONFIGS = sorted(Path(__file__).with_name("configs").glob("*.cfg"))
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
OPTIONS = " resolvers remedy init-addr last,libc,none"


def servers_of(name: str) -> dict[str, ServerLine]:
    path = Path(__file__).with_name("configs") / f"{name}.cfg"
    return {server.name: server for server in read_servers([(path.name, path.read_bytes())])}


def edited(path: Path) -> bytes:
    raw = path.read_bytes()
    edits = [
        ServerEdit(path.name, server.line, f"api-{number}", 8080, None, "remedy", "last,libc,none")
        for number, server in enumerate(read_servers([(path.name, raw)]))
    ]
    return edit_config(raw, edits, ResolversSection("remedy"))


@each_config
def test_nothing_is_lost(path: Path) -> None:
    assert Document.parse(path.read_bytes()).render() == path.read_bytes()


@each_config
def test_only_addresses_and_added_options_differ(path: Path) -> None:
    old, new = path.read_bytes().decode().splitlines(), edited(path).decode().splitlines()

    for before, after in zip(old, new, strict=False):
        if before != after:
            assert re.match(r"\s+server(-template)?\s", before)
            restored = re.sub(r"((?:ipv4@)?)api-\d+:8080", "ADDRESS", after).replace(OPTIONS, "")
            assert restored == re.sub(r'"?(?:ipv4@)?[\d.]+:(?:\d+|\$\{\w+\})"?', "ADDRESS", before, count=1)


@each_config
def test_the_added_section_has_the_files_line_endings(path: Path) -> None:
    endings = {line.ending for line in Document.parse(edited(path)).lines}

    assert len(endings) == 1


def test_every_config_has_servers() -> None:
    assert len(CONFIGS) == 10
    assert all(read_servers([(path.name, path.read_bytes())]) for path in CONFIGS)


def test_default_server_is_inherited_from_the_named_defaults() -> None:
    api = servers_of("windows-editor")["api-1"]

    assert api.options["inter"] == "2s"
    assert "inter" not in api.own
    assert api.number("port") == 5001


def test_peers_servers_are_no_backends() -> None:
    assert set(servers_of("peers-and-stick-tables")) == {"git1", "git2", "x"}


def test_options_are_not_mistaken_for_values() -> None:
    shop = servers_of("sticky-shop")["shop1"]

    assert (shop.options["cookie"], shop.options["id"], shop.options["weight"]) == ("a", "101", "10")


@pytest.mark.parametrize(
    ("name", "trait", "value"),
    [
        ("dynamic-cookie", "dynamic_cookie_proxies", ["app"]),
        ("peers-and-stick-tables", "stick_tables_without_peers", ["counted"]),
        ("own-resolvers", "asks_engine", {"docker": {"udp"}}),
        ("own-resolvers", "resolvers_names", ["docker"]),
        ("tls-to-backends", "uses_server_state_file", False),
        ("minimal-without-newline", "asks_engine", {}),
    ],
)
def test_traits_are_read_over_all_sections(name: str, trait: str, value: object) -> None:
    path = Path(__file__).with_name("configs") / f"{name}.cfg"

    assert getattr(read_traits([(path.name, path.read_bytes())]), trait) == value
