"""remedy.yaml: what is right is read, what is wrong is reported with its place, all at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remedy.errors import SpecError
from remedy.spec.load import find_spec, load_spec, parse_spec, spec_digest
from remedy.spec.models import HairpinOptions, ServiceRef, UnitRef
from remedy.spec.problems import InvalidSpecError

BOMB = "\n".join(
    [
        "version: 1",
        "a: &a [x, x, x, x, x, x, x, x, x, x]",
        *(f"{n}: &{n} [{', '.join([f'*{p}'] * 10)}]" for p, n in zip("abcdef", "bcdefg", strict=True)),
    ]
)

# text of the file, then (line, column, key, a piece of the message, nearest key) of each problem
FAULTS = {
    "unknown key": (
        "version: 1\nremedies:\n  userland_proxi: false\n",
        [(3, 3, "remedies.userland_proxi", "unknown key", "userland_proxy")],
    ),
    "unknown key at the top": ("version: 1\nbackend: []\n", [(2, 1, "backend", "unknown key", "backends")]),
    "key with dashes": (
        "version: 1\npolicy: {restart-engine: true}\n",
        [(2, 10, "policy.restart-engine", "unknown key", "restart_engine")],
    ),
    "key like no other": (
        "version: 1\npolicy:\n  colour: red\n",
        [(3, 3, "policy.colour", "valid here: restart_engine, stop_containers, confirm_within, accept_pinned", None)],
    ),
    "unknown key without a value": (
        "version: 1\nremedies:\n  hairpn:\n",
        [(3, 3, "remedies.hairpn", "unknown key", "hairpin")],
    ),
    "yes is not a boolean of YAML 1.2": (
        "version: 1\nremedies: {userland_proxy: off}\n",
        [(2, 28, "remedies.userland_proxy", "expected true or false, found 'off'", None)],
    ),
    "port in quotes": (
        'version: 1\nbackends:\n  - {label: a, port: "8080"}\n',
        [(3, 22, "backends[0].port", "expected a whole number from 1 to 65535, found '8080'", None)],
    ),
    "port out of range": (
        "version: 1\nbackends:\n  - {label: a, port: 65536}\n",
        [(3, 22, "backends[0].port", "from 1 to 65535, found 65536", None)],
    ),
    "port true": (
        "version: 1\nbackends:\n  - {label: a, port: true}\n",
        [(3, 22, "backends[0].port", "found true", None)],
    ),
    "name that YAML reads as a number": (
        "version: 1\nbackends:\n  - containers: [api, 12]\n    port: 80\n",
        [(3, 23, "backends[0].containers[1]", "expected text, found 12: put it in quotes", None)],
    ),
    "missing key": (
        "version: 1\nbackends:\n  - label: a\n",
        [(3, 5, "backends[0].port", "the key is missing", None)],
    ),
    "two ways to name containers": (
        "version: 1\nbackends:\n  - {label: a, containers: [b], port: 1}\n",
        [(3, 5, "backends[0]", "exactly one way", None)],
    ),
    "half a service": (
        "version: 1\nbackends:\n  - {project: a, port: 1}\n",
        [(3, 5, "backends[0]", "project and service belong together", None)],
    ),
    "empty list of names": (
        "version: 1\nbackends:\n  - {containers: [], port: 1}\n",
        [(3, 18, "backends[0].containers", "at least one", None)],
    ),
    "text for a list": ("version: 1\nprobes: x\n", [(2, 9, "probes", "expected a list, found 'x'", None)]),
    "text for a mapping": (
        "version: 1\nremedies: hairpin\n",
        [(2, 11, "remedies", "expected a mapping with the keys userland_proxy, hairpin", None)],
    ),
    "text for a backend": (
        "version: 1\nbackends:\n  - api-1\n",
        [(3, 5, "backends[0]", "keys containers, project, service, label, port, protocol, found 'api-1'", None)],
    ),
    "load balancer of no form": (
        "version: 1\nload_balancer: 3\n",
        [(2, 16, "load_balancer", "expected a container name, {project, service} or {unit}, found 3", None)],
    ),
    "load balancer's key misspelt": (
        "version: 1\nload_balancer: {projekt: a, service: b}\n",
        [(2, 17, "load_balancer.projekt", "unknown key", "project")],
    ),
    "unit that is none": (
        "version: 1\nload_balancer: {unit: haproxy}\n",
        [(2, 23, "load_balancer.unit", "expected a systemd unit such as haproxy.service", None)],
    ),
    "hairpin of no form": (
        "version: 1\nremedies: {hairpin: maybe}\n",
        [(2, 21, "remedies.hairpin", "expected true, false or a mapping with the key loopback", None)],
    ),
    "hairpin's key misspelt": (
        "version: 1\nremedies: {hairpin: {loopbak: true}}\n",
        [(2, 22, "remedies.hairpin.loopbak", "unknown key", "loopback")],
    ),
    "notrack of no form": (
        "version: 1\nremedies: {notrack: maybe}\n",
        [(2, 21, "remedies.notrack", "expected true, false or a mapping with the keys network, inside", None)],
    ),
    "notrack's key misspelt": (
        "version: 1\nremedies: {notrack: {netwrk: lb}}\n",
        [(2, 22, "remedies.notrack.netwrk", "unknown key", "network")],
    ),
    "conntrack of no form": (
        "version: 1\nremedies: {conntrack: true}\n",
        [(2, 23, "remedies.conntrack", "keys connection_rate, memory, max, buckets", None)],
    ),
    "conntrack with nothing in it": (
        "version: 1\nremedies: {conntrack: {}}\n",
        [(2, 23, "remedies.conntrack", "name at least one: connection_rate", None)],
    ),
    "conntrack by intent and by numbers": (
        "version: 1\nremedies: {conntrack: {connection_rate: 500, max: 500000}}\n",
        [(2, 23, "remedies.conntrack", "either connection_rate and memory", None)],
    ),
    "a table without room": (
        "version: 1\nremedies: {conntrack: {max: 10, buckets: '9000'}}\n",
        [
            (2, 29, "remedies.conntrack.max", "a whole number from 1024 to 2147483647, found 10", None),
            (2, 42, "remedies.conntrack.buckets", "a whole number from 1024 to 2147483647, found '9000'", None),
        ],
    ),
    "memory without a unit": (
        "version: 1\nremedies: {conntrack: {memory: 128}}\n",
        [(2, 32, "remedies.conntrack.memory", "expected text, found 128", None)],
    ),
    "memory in another unit": (
        "version: 1\nremedies: {conntrack: {memory: 128MB, tcp_timeout_time_wait: 30}}\n",
        [
            (2, 32, "remedies.conntrack.memory", "an amount of memory such as 128MiB or 1GiB, found '128MB'", None),
            (2, 62, "remedies.conntrack.tcp_timeout_time_wait", "expected text, found 30", None),
        ],
    ),
    "IPv6 address without brackets": (
        'version: 1\naccept:\n  - {from: host, to: "::1:5001"}\n',
        [(3, 22, "accept[0].to", "with [..] around an IPv6 address", None)],
    ),
    "probe with a relative path": (
        'version: 1\nprobes:\n  - {from: host, to: "1.2.3.4:5", http: healthz}\n',
        [(3, 41, "probes[0].http", "an HTTP path begins with /", None)],
    ),
    "duration": (
        "version: 1\npolicy: {confirm_within: 1d}\n",
        [(2, 26, "policy.confirm_within", "expected a duration such as 60s, 5m or 1h, found '1d'", None)],
    ),
    "protocol": (
        "version: 1\nbackends: [{label: a, port: 1, protocol: icmp}]\n",
        [(2, 42, "backends[0].protocol", "expected 'tcp', 'udp' or 'sctp', found 'icmp'", None)],
    ),
    "duplicate keys": (
        "version: 1\nremedies: {}\nremedies:\n  hairpin: true\n  hairpin: false\n",
        [(3, 1, "remedies", "twice, first in line 2", None)],
    ),
    "the same container and port twice": (
        "version: 1\nbackends:\n  - {containers: [a, b, a], port: 1}\n  - {containers: [b], port: 1}\n"
        "  - {containers: [b], port: 2}\n",
        [
            (3, 25, "backends[0].containers[2]", "named already by backends[0].containers[0]", None),
            (4, 19, "backends[1].containers[0]", "named already by backends[0].containers[1]", None),
        ],
    ),
    "the same service and port twice": (
        "version: 1\nbackends:\n  - {project: p, service: s, port: 1}\n  - {project: p, service: s, port: 1}\n",
        [(4, 5, "backends[1]", "named already by backends[0]", None)],
    ),
    "tags": (
        "version: 1\nload_balancer: !!python/object:os.system x\n",
        [(2, 16, "load_balancer", "the tag tag:yaml.org,2002:python/object:os.system is not supported", None)],
    ),
    "key that is no text": ("version: 1\n1: x\n? [a]\n: b\n", [(2, 1, "", "quotes", None), (3, 3, "", "quotes", None)]),
    "merge key": (
        "version: 1\npolicy:\n  <<: {restart_engine: true}\n",
        [(3, 3, "policy.<<", "unknown key", None)],
    ),
    "tab": ("version: 1\nremedies:\n\thairpin: true\n", [(3, 1, "", "a tab is used to indent", None)]),
    "syntax": ("version: 1\nbackends: [a\n", [(3, 1, "", "not YAML: expected ',' or ']'", None)]),
    "colon in a plain text": ("version: 1\nload_balancer: a: b\n", [(2, 17, "", "not YAML", None)]),
    "unknown alias": ("version: 1\nload_balancer: *lb\n", [(2, 16, "", "undefined alias 'lb'", None)]),
    "alias to itself": ("version: 1\nbackends: &b [*b]\n", [(2, 11, "backends[0]", "contains itself", None)]),
    "second document": ("version: 1\n---\nversion: 1\n", [(2, 1, "", "a second document begins here", None)]),
    "directive": ("%YAML 1.1\n---\nversion: 1\n", [(1, 1, "", "directives are not supported", None)]),
    "control character": ("version: 1\nload_balancer: 'a\x1b'\n", [(2, 18, "", "U+001B is not allowed", None)]),
    "list at the top": ("- version: 1\n", [(1, 1, "", "expected keys at the top", None)]),
    "no version": ("remedies: {hairpin: true}\n", [(1, 1, "version", "the key is missing", None)]),
    "version 2": ("version: 2\nnew_key: 1\n", [(1, 10, "version", "reads version 1, not 2", None)]),
    "version in quotes": ('version: "1"\n', [(1, 10, "version", 'reads version 1, not "1"', None)]),
    "version true": ("version: true\n", [(1, 10, "version", "reads version 1, not true", None)]),
    "huge number": (f"version: 1{'0' * 40}\n", [(1, 10, "version", "is not a whole number", None)]),
    "empty file": ("", [(None, None, "", "the file is empty", None)]),
    "only comments": ("# version: 1\n", [(None, None, "", "the file is empty", None)]),
    "bomb of aliases": (BOMB, [(None, None, "", "more than 20000 values", None)]),
    "nested too deeply": ("version: 1\nbackends: " + "[" * 3000, [(2, 30, "", "nested too deeply", None)]),
    "everything at once": (
        "version: 1\nremedies:\n  userland_proxi: false\nprobes: x\nbackends:\n  - {label: a, port: x}\n",
        [
            (3, 3, "remedies.userland_proxi", "unknown key", "userland_proxy"),
            (4, 9, "probes", "expected a list", None),
            (6, 22, "backends[0].port", "whole number", None),
        ],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported_with_its_place_and_the_nearest_key(name: str) -> None:
    text, expected = FAULTS[name]
    with pytest.raises(InvalidSpecError) as caught:
        parse_spec(text, "remedy.yaml")
    found = [
        (p.position and p.position.line, p.position and p.position.column, p.key, p.did_you_mean)
        for p in caught.value.problems
    ]
    assert found == [(line, column, key, near) for line, column, key, _, near in expected]
    for problem, (_, _, _, message, _) in zip(caught.value.problems, expected, strict=True):
        assert message in problem.what


def test_a_single_fault_reads_as_one_sentence() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec("version: 1\nremedies:\n  userland_proxi: false\n", "remedy.yaml")
    assert caught.value.where == "remedy.yaml:3:3"
    assert caught.value.what == "remedies.userland_proxi: unknown key; did you mean userland_proxy?"


def test_several_faults_are_listed_one_a_line() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(FAULTS["everything at once"][0], "remedy.yaml")
    assert caught.value.what == "3 things are wrong"
    assert [line.split(": ")[0] for line in str(caught.value.why).splitlines()] == [
        "remedy.yaml:3:3",
        "remedy.yaml:4:9",
        "remedy.yaml:6:22",
    ]


def test_very_many_faults_are_counted() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec("version: 1\n" + "a: b\n" * 100, "remedy.yaml")
    assert caught.value.what == "99 things are wrong"
    assert str(caught.value.why).endswith("... and 69 more")


def test_the_contracts_example_is_read() -> None:
    spec = parse_spec(
        """
version: 1
load_balancer: dev1-haproxy-1        # container name
backends:
  - containers: [dev1-api-1, dev1-api-2, dev1-api-3]
    port: 8080
  - {project: dev1, service: web, port: 80, protocol: udp}
  - {label: "role=api", port: 9000}
remedies:
  userland_proxy: false
  hairpin: true
accept:
  - {from: "host", to: "[::1]:5001"}
probes:
  - {from: dev1-haproxy-1, to: "172.17.0.1:5001", http: "/"}
  - {from: external, to: "localhost:53/udp"}
policy: {restart_engine: true, confirm_within: 60s}
""",
        "remedy.yaml",
    )
    assert spec.load_balancer == "dev1-haproxy-1"
    assert [backend.port for backend in spec.backends] == [8080, 80, 9000]
    assert spec.remedies.userland_proxy is False
    assert spec.remedies.hairpin_options == HairpinOptions(loopback=False)
    assert spec.accept[0].to == "[::1]:5001"
    assert spec.probes[1].to == "127.0.0.1:53/udp"
    assert spec.policy.confirm_within_seconds == 60


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{project: p, service: s}", ServiceRef(project="p", service="s")),
        ("{unit: haproxy.service}", UnitRef(unit="haproxy.service")),
        ("'12'", "12"),
    ],
)
def test_a_load_balancer_has_three_forms(written: str, read: object) -> None:
    assert parse_spec(f"version: 1\nload_balancer: {written}\n", "x").load_balancer == read


def test_an_empty_section_is_an_absent_one() -> None:
    text = "version: 1\nremedies:\n  # userland_proxy: false\n  hairpin:\nbackends:\nprobes: ~\n"
    assert parse_spec(text, "x") == parse_spec("version: 1\n", "x")


def test_an_anchor_may_be_used_again() -> None:
    spec = parse_spec(
        "version: 1\nbackends:\n  - {containers: &names [a, b], port: 1}\n  - {containers: *names, port: 2}\n", "x"
    )
    assert spec.backends[0].containers == spec.backends[1].containers == ("a", "b")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "remedy.yaml"
    file.write_bytes(b"\xef\xbb\xbfversion: 1\r\n")
    assert load_spec(file).version == 1


def test_bytes_that_are_not_utf8_are_placed(tmp_path: Path) -> None:
    file = tmp_path / "remedy.yaml"
    file.write_bytes(b"version: 1\nload_balancer: \xe4pi\n")
    with pytest.raises(SpecError, match="not UTF-8: byte 0xe4") as caught:
        load_spec(file)
    assert caught.value.where == f"{file}:2:16"


def test_a_file_that_is_not_there_names_init(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file") as caught:
        load_spec(tmp_path / "remedy.yaml")
    assert "remedy init" in str(caught.value.next_step)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="this is a directory"):
        load_spec(tmp_path)


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(SpecError, match="larger than 256 KiB"):
        load_spec("/dev/zero")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "remedy.yaml"
    file.write_text("version: 1\n")
    file.chmod(0)
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        # Whether a parent or the file itself keeps us out, the answer is the same.
        with pytest.raises(SpecError, match="no permission to read it"):
            load_spec(file)
    finally:
        os.seteuid(0)


def test_the_file_is_looked_for_in_the_contracts_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_spec(Path("other.yaml")) == Path("other.yaml")
    if not Path("/etc/remedy/remedy.yaml").exists():
        with pytest.raises(SpecError, match=r"there is no remedy\.yaml"):
            find_spec(None)
    (tmp_path / "remedy.yaml").touch()
    assert find_spec(None) == Path("remedy.yaml")


def test_the_digest_is_of_what_is_said_not_of_how() -> None:
    one = parse_spec("version: 1\nremedies: {hairpin: true}\n", "x")
    same = parse_spec("# a comment\nremedies:\n  hairpin: true\nversion: 1\npolicy:\n", "y")
    other = parse_spec("version: 1\nremedies: {hairpin: false}\n", "x")
    assert spec_digest(one) == spec_digest(same) != spec_digest(other)
