"""How the engine's DNS is asked: by the version of haproxy, and read from what an operator wrote."""

from __future__ import annotations

import pytest

from remedy.facts.haproxy_version import parse_version
from remedy.haproxy_cfg.edit import ResolversSection, edit_config
from remedy.haproxy_cfg.engine_dns import transport_for, transport_of
from remedy.haproxy_cfg.traits import read_traits


@pytest.mark.parametrize(
    ("version", "transport"),
    [
        ("2.2.9-2+deb11u6", "udp"),
        ("2.6.12-1+deb12u3", "udp"),
        ("2.8.15", "udp"),
        ("2.8.16", "tcp"),
        ("2.9.15", "udp"),
        ("3.0.11-1+deb13u4", "udp"),
        ("3.0.12", "tcp"),
        ("3.2.3", "udp"),
        ("3.2.26-1", "tcp"),
        ("3.3-dev7", "tcp"),
        ("3.3.0", "tcp"),
        ("4.0", "tcp"),
        ("some fork", "tcp"),
        (None, "tcp"),
    ],
)
def test_the_transport_hangs_on_the_version(version: str | None, transport: str) -> None:
    assert transport_for(version) == transport


@pytest.mark.parametrize(
    ("words", "transport"),
    [
        ("nameserver a 127.0.0.11:53", "udp"),
        ("nameserver a udp4@127.0.0.11:53", "udp"),
        ("nameserver a ipv4@127.0.0.11:53", "udp"),
        ("nameserver a tcp@127.0.0.11:53", "tcp"),
        ("nameserver a tcp4@127.0.0.11:53 source 127.0.0.1", "tcp"),
        ("parse-resolv-conf", "udp"),
        ("nameserver a 127.0.0.1:53", None),
        ("nameserver a 127.0.0.11:5353", None),
        ("nameserver a", None),
        ("hold valid 127.0.0.11:53", None),
    ],
)
def test_who_asks_the_engine_is_known_by_the_address(words: str, transport: str | None) -> None:
    assert transport_of(words.split()) == transport


def test_a_section_that_never_hears_again_does_not_fit() -> None:
    raw = b"resolvers old\n nameserver a 127.0.0.11:53\nresolvers new\n nameserver a tcp@127.0.0.11:53\n"

    traits = read_traits([("a.cfg", raw)])

    assert traits.asks_engine == {"old": {"udp"}, "new": {"tcp"}}
    assert traits.fitting_resolvers("udp") == "old"
    assert traits.fitting_resolvers("tcp") == "new"


def test_the_added_section_asks_as_it_is_told() -> None:
    assert b"nameserver docker tcp@127.0.0.11:53\n" in edit_config(b"", [], ResolversSection("remedy", "tcp"))
    assert b"nameserver docker 127.0.0.11:53\n" in edit_config(b"", [], ResolversSection("remedy", "udp"))


@pytest.mark.parametrize(
    ("executable", "version"),
    [
        (b"\x7fELF\0 version 3.0.11-1+deb13u4, released 2026/10/15\0", "3.0.11-1+deb13u4"),
        (b"\0 version 3.3-dev7-82b002-12, released 2025/08/20\0", "3.3-dev7-82b002-12"),
        (b" version x, released 2025/08/20\0", None),
        (b" version 3.2\n.1, released 2025/08/20\0", None),
        (b"", None),
    ],
)
def test_the_version_is_read_from_the_executable(executable: bytes, version: str | None) -> None:
    assert parse_version(executable) == version
