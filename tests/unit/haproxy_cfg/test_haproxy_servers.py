"""Options of server lines: what is inherited, what is taken away, and what only looks like an option."""

from __future__ import annotations

from collections.abc import Mapping

from remedy.haproxy_cfg.servers import read_servers
from remedy.haproxy_cfg.traits import read_traits


def options_of(*files: str) -> dict[str, Mapping[str, str]]:
    found = read_servers([(f"{number}.cfg", text.encode()) for number, text in enumerate(files)])
    return {server.name: server.options for server in found}


def test_default_server_holds_from_its_line_on() -> None:
    options = options_of("backend b\n server a x:1\n default-server inter 3s\n server b x:1 fall 2\n")

    assert options == {"a": {}, "b": {"inter": "3s", "fall": "2"}}


def test_the_latest_defaults_hold_in_the_files_that_follow() -> None:
    options = options_of("defaults\n default-server inter 3s\n", "backend b\n server a x:1\n")

    assert options == {"a": {"inter": "3s"}}


def test_defaults_inherit_only_from_the_one_they_name() -> None:
    text = """\
defaults one
 default-server inter 1s
defaults two from one
 default-server fall 2
defaults three
backend a
 server a x:1
backend b from two
 server b x:1
"""
    assert options_of(text) == {"a": {}, "b": {"inter": "1s", "fall": "2"}}


def test_no_takes_away_what_was_inherited() -> None:
    text = """\
backend b
 default-server check ssl no-backup
 server a x:1 no-check
 server b x:1 no-check check backup
"""
    options = options_of(text)

    assert options["a"] == {"no-check": "", "ssl": "", "no-backup": ""}
    assert options["b"] == {"check": "", "ssl": "", "backup": ""}


def test_a_default_server_that_may_not_apply_does_not_give_what_an_edit_would_add() -> None:
    text = """\
backend b
 default-server init-addr none
.if defined(X)
 default-server resolvers r init-addr libc check port 99
.endif
 server a x:1
"""
    assert options_of(text)["a"] == {"init-addr": "none", "check": "", "port": "99"}


def test_values_are_not_taken_for_options_nor_switches_for_what_has_a_value() -> None:
    line = (
        "server a x:1 cookie check source 0.0.0.0 usesrc port interface port send-proxy-v2-ssl-cn "
        "set-proxy-v2-tlv-fmt(0x20) agent-check proxy-v2-options crc32c resolvers r"
    )
    options = options_of(f"backend b\n {line}\n")["a"]

    assert "check" not in options
    assert "port" not in options
    assert "agent-check" not in options
    assert options["resolvers"] == "r"


def test_a_resolvers_section_fits_when_it_asks_the_engine_in_any_case() -> None:
    text = """\
.if defined(X)
resolvers sometimes
 nameserver docker 127.0.0.11:53
.endif
resolvers consul
 nameserver consul 10.0.0.5:53
resolvers plain
 nameserver docker udp@127.0.0.11:53
 nameserver again 127.0.0.11
"""
    traits = read_traits([("a.cfg", text.encode())])

    assert traits.fitting_resolvers("udp") == "plain"
    assert traits.resolvers_names == ["sometimes", "consul", "plain"]
