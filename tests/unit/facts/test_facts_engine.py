"""The engine: what `docker info`, its process and the rules say of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from recorded_facts import ENGINES, containers, document, text

from remedy.errors import EngineError
from remedy.facts.engine import (
    EngineProcess,
    ProxySetting,
    ProxyWitnesses,
    configured_flag,
    find_proxy_setting,
    networking_environment,
    parse_engine,
)
from remedy.facts.engine_api import DEFAULT_ENDPOINT, EngineApi, endpoint_of, is_local
from remedy.facts.engine_rules import flag_value, parse_version, proxy_by_nft_output, proxy_by_output_jump
from remedy.facts.model import DaemonJson, DockerProxy, Protocol

STARTED = datetime(2026, 11, 23, 12, tzinfo=UTC)
OLD_INFO = {"ServerVersion": "26.1.5"}
NO_FILE = DaemonJson(path="/etc/docker/daemon.json", exists=False)
PROXY = DockerProxy(
    pid=9,
    protocol=Protocol.TCP,
    host_address=ip_address("0.0.0.0"),
    host_port=5001,
    container_address=ip_address("172.17.0.2"),
    container_port=8080,
)


def process(*flags: str, started_at: datetime | None = STARTED) -> EngineProcess:
    return EngineProcess(pid=7, command_line=("/usr/sbin/dockerd", *flags), environment={}, started_at=started_at)


def daemon_json(parsed: dict[str, object], age: timedelta = timedelta(hours=1)) -> DaemonJson:
    return DaemonJson(path="/etc/docker/daemon.json", exists=True, parsed=parsed, mtime=STARTED - age)


@pytest.mark.parametrize(
    ("version", "parsed"),
    [("28.5.2+dfsg4", (28, 5)), ("20.10.24+dfsg1", (20, 10)), ("v29.7", (29, 7)), ("master", (0, 0)), ("", (0, 0))],
)
def test_the_first_two_numbers_of_a_version_count(version: str, parsed: tuple[int, int]) -> None:
    assert parse_version(version) == parsed


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if "nftables" not in engine])
def test_the_output_jump_tells_the_proxy_setting_on_every_engine(engine: str) -> None:
    assert proxy_by_output_jump(text(engine, "iptables-save.txt")) is ("proxy-on" in engine)


def test_the_output_jump_of_the_engines_own_nftables_tells_it_too() -> None:
    ruleset = document("29.7.2-nftables-proxy-on", "nft.json")["nftables"]
    assert proxy_by_nft_output(ruleset) is True
    without_exception = [item for item in ruleset if "!=" not in str(item.get("rule", {}).get("expr"))]
    assert proxy_by_nft_output(without_exception) is None


@pytest.mark.parametrize(
    "save",
    [
        "",
        "*filter\n-A OUTPUT -j DOCKER\nCOMMIT\n",
        "*nat\n-A OUTPUT -m addrtype --dst-type LOCAL -j MINE\nCOMMIT\n",
        "*nat\n-A OUTPUT ! -d 127.0.0.0/8 -j DOCKER\n-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER\nCOMMIT\n",
    ],
)
def test_rules_that_do_not_tell_tell_nothing(save: str) -> None:
    assert proxy_by_output_jump(save) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_recorded_engines_are_described(engine: str) -> None:
    info = document(engine, "docker-info.json")
    facts = parse_engine(info, process(), NO_FILE, ProxySetting(True, "told"), DEFAULT_ENDPOINT)
    assert facts.version == info["ServerVersion"]
    assert f"{facts.version_tuple[0]}.{facts.version_tuple[1]}." in engine
    assert not facts.rootless
    assert not facts.swarm
    assert facts.ip6tables is (facts.version_tuple >= (27, 0))
    assert facts.experimental is (engine == "20.10.24-iptables-proxy-on-variant")


def test_rootless_and_swarm_are_noticed() -> None:
    info = {
        "ServerVersion": "28.5.2",
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
        "Swarm": {"LocalNodeState": "active"},
    }
    facts = parse_engine(info, None, NO_FILE, ProxySetting(None, ""), DEFAULT_ENDPOINT)
    assert facts.rootless
    assert facts.swarm


def test_engine_29_5_says_itself_that_the_proxy_is_on() -> None:
    info = document("29.7.2-nftables-proxy-on", "docker-info.json")
    assert find_proxy_setting(info, ProxyWitnesses(process(), NO_FILE)).enabled is True


def test_engine_29_5_says_by_silence_that_the_proxy_is_off() -> None:
    info = document("29.7.2-iptables-proxy-off", "docker-info.json")
    # A proxy that is just ending must not overrule the engine.
    witnesses = ProxyWitnesses(process(), NO_FILE, proxies=[PROXY])
    assert find_proxy_setting(info, witnesses).enabled is False


def test_a_running_proxy_is_the_best_witness_of_an_older_engine() -> None:
    setting = find_proxy_setting(OLD_INFO, ProxyWitnesses(process(), NO_FILE, proxies=[PROXY], output_jumps=[False]))
    assert setting == ProxySetting(True, "1 docker-proxy processes of this engine")


@pytest.mark.parametrize("jump", [True, False])
def test_without_proxies_the_rules_tell(jump: bool) -> None:
    misleading = daemon_json({"userland-proxy": not jump})
    assert find_proxy_setting(OLD_INFO, ProxyWitnesses(process(), misleading, output_jumps=[jump])).enabled is jump


def test_a_published_port_without_a_proxy_process_means_off() -> None:
    published = [containers("26.1.5-iptables-proxy-off")["api-1"]]
    assert find_proxy_setting(OLD_INFO, ProxyWitnesses(process(), NO_FILE, containers=published)).enabled is False


def test_a_flag_counts_where_nothing_else_tells() -> None:
    witnesses = ProxyWitnesses(process("--userland-proxy=false"), NO_FILE)
    assert find_proxy_setting(OLD_INFO, witnesses).enabled is False


@pytest.mark.parametrize(("parsed", "expected"), [({"userland-proxy": False}, False), ({}, True)])
def test_daemon_json_counts_when_it_is_older_than_the_engine(parsed: dict[str, object], expected: bool) -> None:
    assert find_proxy_setting(OLD_INFO, ProxyWitnesses(process(), daemon_json(parsed))).enabled is expected


def test_a_newer_daemon_json_proves_nothing() -> None:
    newer = daemon_json({"userland-proxy": False}, age=timedelta(hours=-1))
    assert find_proxy_setting(OLD_INFO, ProxyWitnesses(process(), newer)).enabled is None


def test_an_unreadable_daemon_json_proves_nothing() -> None:
    broken = DaemonJson(path="x", exists=True, problem="1:2: Expecting value", mtime=STARTED - timedelta(1))
    assert find_proxy_setting(OLD_INFO, ProxyWitnesses(process(), broken)).enabled is None


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        ((), None),
        (("--userland-proxy",), "true"),
        (("--userland-proxy=false",), "false"),
        (("-userland-proxy=0",), "0"),
        (("--userland-proxy-path=/usr/bin/docker-proxy",), None),
        (("--userland-proxy=true", "--userland-proxy=false"), "false"),
    ],
)
def test_flags_are_read_as_dockerd_reads_them(flags: tuple[str, ...], value: str | None) -> None:
    assert flag_value(("dockerd", *flags), "userland-proxy") == value


def test_a_flag_with_a_value_takes_the_next_argument() -> None:
    assert flag_value(("dockerd", "--config-file", "/etc/other.json", "-D"), "config-file") == "/etc/other.json"


def test_a_flag_wins_over_daemon_json() -> None:
    assert configured_flag("iptables", process("--iptables=false"), daemon_json({"iptables": True})) is False
    assert configured_flag("iptables", process(), daemon_json({"iptables": False})) is False
    assert configured_flag("iptables", process(), daemon_json({"iptables": "no"})) is None


def test_of_the_environment_only_what_bears_on_networking_is_kept_and_no_secret() -> None:
    environment = ("PATH=/bin", "DOCKER_RAMDISK=1", "DOCKER_AUTH_TOKEN=abc", "HTTPS_PROXY=http://u:p@h", "HOME=/root")
    assert networking_environment(environment) == {
        "PATH": "/bin",
        "DOCKER_RAMDISK": "1",
        "DOCKER_AUTH_TOKEN": "",
        "HTTPS_PROXY": "",
    }


def test_the_endpoint_is_what_was_given_then_docker_host_then_the_usual_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert endpoint_of(None) == DEFAULT_ENDPOINT
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
    assert endpoint_of(None) == "tcp://10.0.0.1:2376"
    assert not is_local(endpoint_of(None))
    assert endpoint_of("/run/other.sock") == "unix:///run/other.sock"


def test_an_engine_that_does_not_run_is_an_error_with_a_next_step() -> None:
    with pytest.raises(EngineError) as caught:
        EngineApi("unix:///nonexistent/docker.sock")
    assert "does not answer at unix:///nonexistent/docker.sock" in caught.value.what
    assert caught.value.next_step == "systemctl status docker"
