"""Facts files: what is saved is loaded again, and what is no facts file is refused by name and reason."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from recorded_facts import ENGINES, containers, document, text

from remedy.errors import InputError
from remedy.facts import HostFacts, load_facts, parse_facts, save_facts
from remedy.facts.identity import parse_remote_identity, read_identity
from remedy.facts.model import (
    ConntrackFacts,
    DaemonJson,
    EngineFacts,
    FirewallBackend,
    FirewallFacts,
    HostIdentity,
    SystemdFacts,
)
from remedy.facts.networks import parse_network
from remedy.facts.sysctls import read_sysctls
from remedy.facts.systemd import parse_show, parse_time_span, parse_unit
from remedy.facts.unread import Notes


def facts(engine: str = ENGINES[0]) -> HostFacts:
    return HostFacts(
        remedy_version="0",
        gathered_at=datetime(2026, 11, 23, tzinfo=UTC),
        gather_seconds=0.5,
        host=HostIdentity(hostname="h", machine_id="m", boot_id="b", kernel="6"),
        engine=EngineFacts(
            version="28.5.2",
            version_tuple=(28, 5),
            pid=None,
            command_line=(),
            environment={},
            started_at=None,
            live_restore=False,
            userland_proxy=None,
            userland_proxy_evidence="",
            swarm=False,
            rootless=False,
            iptables=True,
            ip6tables=None,
            experimental=False,
            socket="unix:///var/run/docker.sock",
            security_options=(),
        ),
        daemon_json=DaemonJson(path="/etc/docker/daemon.json", exists=True, raw=b"\xff\x00{}", parsed={"a": [1, None]}),
        systemd=SystemdFacts(available=False),
        containers=tuple(containers(engine).values()),
        networks=tuple(parse_network(network) for network in document(engine, "networks.json")),
        docker_proxies=(),
        namespaces=(),
        bridge_ports=(),
        firewall=FirewallFacts(
            backend=FirewallBackend.IPTABLES_NFT,
            backend_evidence="",
            iptables_version=None,
            nft_version=None,
            tables=(),
            nft_tables=(),
        ),
        sysctls={},
        conntrack=ConntrackFacts(count=None, maximum=None, buckets=None, entries=(), entries_complete=True),
        haproxies=(),
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_saved_is_loaded_again(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "host.facts.json"
    save_facts(facts(engine), path)
    assert load_facts(path) == facts(engine)


def test_only_the_owner_may_read_the_file_also_when_it_was_open_before(tmp_path: Path) -> None:
    path = tmp_path / "facts"
    path.write_text("old")
    path.chmod(0o666)
    save_facts(facts(), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["facts"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        save_facts(facts(), tmp_path / "none/facts")
    assert str(tmp_path / "none/facts") in str(caught.value)


def broken(saved: str) -> dict[str, tuple[str, str]]:
    """Give (content, piece of the message) by what is wrong."""
    content = json.loads(saved)
    return {
        "empty": ("", "it is empty"),
        "truncated": (saved[: len(saved) // 2], "the facts file is truncated"),
        "truncated early": (saved[:20], "the facts file is truncated"),
        "not JSON": ("{,}", "it is not JSON"),
        "text": ("hello", "it is not JSON"),
        "list": ("[]", "it does not describe a host"),
        "a plan": ('{"format_version": 1, "actions": []}', "it does not describe a host"),
        "newer": (json.dumps({**content, "format_version": 2}), "format version 2, this remedy reads 1"),
        "no version": (json.dumps({**content, "format_version": None}), "format version None"),
        "missing": (json.dumps({k: v for k, v in content.items() if k != "sysctls"}), "sysctls: Field required"),
        "unknown": (json.dumps({**content, "extra": 1}), "extra: Extra inputs are not permitted"),
        "wrong type": (json.dumps({**content, "containers": 5}), "containers: Input should be a valid"),
        "deep": ("[" * 200_000, "this is not a facts file"),
    }


@pytest.mark.parametrize("kind", broken(facts().model_dump_json()))
def test_what_is_no_facts_file_is_refused_with_file_and_reason(tmp_path: Path, kind: str) -> None:
    content, message = broken(facts().model_dump_json())[kind]
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        load_facts(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x89PNG\xff")
    with pytest.raises(InputError, match="not a facts file"):
        load_facts(tmp_path / "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_facts(tmp_path / "none")


def test_facts_are_parsed_from_text_too() -> None:
    assert parse_facts(facts().model_dump_json()) == facts()


def test_systemds_answer_is_read() -> None:
    read = parse_show(text("recorded-28.5", "systemctl-show.txt"))
    assert (read.unit, read.active_state, read.sub_state, read.result) == (
        "docker.service",
        "active",
        "running",
        "success",
    )
    assert (read.start_limit_burst, read.start_limit_interval_seconds, read.n_restarts) == (3, 60.0, 0)
    assert read.main_pid


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("1min", 60.0), ("1min 30s", 90.0), ("10s", 10.0), ("500ms", 0.5), ("0", 0.0), ("infinity", None), ("", None)],
)
def test_time_spans_are_read_as_systemd_prints_them(span: str, seconds: float | None) -> None:
    assert parse_time_span(span) == seconds


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/system.slice/docker.service\n", "docker.service"),
        (
            "9:name=systemd:/system.slice/snap.docker.dockerd.service\n8:pids:/x.service\n",
            "snap.docker.dockerd.service",
        ),
        ("0::/init.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service\n", None),
        ("", None),
    ],
)
def test_a_processs_unit_is_found_by_its_cgroup(cgroups: str, unit: str | None) -> None:
    assert parse_unit(cgroups) == unit


def test_sysctls_are_read_and_absent_ones_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"net/ipv4/ip_forward": "1\n", "net/ipv4/conf/eth0.100/rp_filter": "2\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(value)
    monkeypatch.setattr("remedy.facts.sysctls.PROC_SYS", tmp_path)
    assert read_sysctls(["eth0.100"]) == {"net.ipv4.ip_forward": "1", "net/ipv4/conf/eth0.100/rp_filter": "2"}


def test_every_setting_that_decides_about_a_packet_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf4 = [f"net.ipv4.conf.docker0.{name}" for name in ("route_localnet", "rp_filter", "forwarding", "accept_local")]
    conf6 = [f"net.ipv6.conf.all.{name}" for name in ("forwarding", "disable_ipv6")]
    bridge = [f"net.bridge.bridge-nf-call-{name}" for name in ("iptables", "ip6tables", "arptables")]
    wanted = ["net.ipv4.ip_forward", "net.ipv6.bindv6only", *bridge, *conf4, *conf6]
    for name in wanted:
        (tmp_path / name.replace(".", "/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name.replace(".", "/")).write_text("1\n")
    monkeypatch.setattr("remedy.facts.sysctls.PROC_SYS", tmp_path)
    assert read_sysctls(["docker0"]) == dict.fromkeys(wanted, "1")


def test_this_host_has_an_identity_and_a_remote_one_has_what_docker_tells() -> None:
    assert read_identity().kernel
    info = document("28.5.2-iptables-proxy-on-variant", "docker-info.json")
    assert parse_remote_identity(info).hostname == "dockerhost"


def test_one_failure_costs_one_item() -> None:
    notes = Notes()
    assert notes.attempt("a", 1, lambda: 1 // 0) == 1
    assert notes.attempt("b", 1, lambda: 2) == 2
    assert notes.attempt("c", None, Path("/nonexistent").read_text) is None
    assert [(note.item, note.reason) for note in notes.sorted()] == [
        ("a", "ZeroDivisionError: integer division or modulo by zero"),
        ("c", "/nonexistent: No such file or directory"),
    ]
