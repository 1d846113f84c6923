"""gather() as a whole, with a recorded engine behind the API and this machine's own /proc around it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from recorded_facts import document

from remedy.facts import gather, load_facts, save_facts
from remedy.facts import gather as gather_function
from remedy.facts.model import FirewallBackend

ENGINE = "28.5.2-iptables-proxy-on-variant"


class RecordedEngine:
    """Answers what an engine answered once; every running container seems to be this very process."""

    listener_pid: int | None = None
    broken: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.inspected = {item["Id"]: item for item in document(ENGINE, "container-inspect.json")}

    def info(self) -> dict[str, Any]:
        return document(ENGINE, "docker-info.json")

    def networks(self) -> list[dict[str, Any]]:
        return document(ENGINE, "networks.json")

    def containers(self) -> list[dict[str, Any]]:
        return [{"Id": identity} for identity in self.inspected]

    def inspect_container(self, identity: str) -> dict[str, Any] | None:
        item = self.inspected[identity]
        name = item["Name"].removeprefix("/")
        if name in self.gone:
            return None
        if name in self.broken:
            return {"Id": identity, "Name": 7}
        if item["State"]["Pid"]:
            item["State"]["Pid"] = os.getpid()
        return item

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> type[RecordedEngine]:
    import sys

    class Engine(RecordedEngine):
        pass

    module = sys.modules[gather_function.__module__]
    monkeypatch.setattr("remedy.facts.answers.EngineApi", Engine)
    monkeypatch.setattr("remedy.facts.engine.PID_FILE", Path("/nonexistent"))
    monkeypatch.setattr(module, "ENGINE_PROGRAM", "no-such-engine")
    monkeypatch.setattr(module, "HAPROXY_PROGRAM", "no-such-haproxy")
    return Engine


def test_a_host_is_read_and_survives_the_way_through_a_file(tmp_path: Path) -> None:
    facts = gather(daemon_json_path=tmp_path / "daemon.json")
    assert facts.engine.version.startswith("28.5.2")
    assert len(facts.containers) == len(document(ENGINE, "container-inspect.json"))
    assert facts.namespaces[0].is_host
    assert any(link.name == "lo" for link in facts.namespaces[0].links)
    assert facts.sysctls["net.ipv4.conf.lo.forwarding"] in {"0", "1"}
    assert not facts.daemon_json.exists
    save_facts(facts, tmp_path / "facts.json")
    assert load_facts(tmp_path / "facts.json") == facts


def test_an_engine_without_a_process_here_is_said() -> None:
    facts = gather()
    assert facts.engine.pid is None
    assert "engine process" in {note.item for note in facts.unread}


def test_one_container_that_cannot_be_understood_costs_only_itself(engine: type[RecordedEngine]) -> None:
    engine.broken = frozenset({"web1"})
    facts = gather()
    assert "web1" not in {container.name for container in facts.containers}
    assert "web2" in {container.name for container in facts.containers}
    (identity,) = [item["Id"][:12] for item in document(ENGINE, "container-inspect.json") if item["Name"] == "/web1"]
    assert f"container {identity}" in {note.item for note in facts.unread}


def test_a_container_that_went_away_meanwhile_is_no_gap(engine: type[RecordedEngine]) -> None:
    engine.gone = frozenset({"web1"})
    facts = gather()
    assert "web1" not in {container.name for container in facts.containers}
    assert not [note for note in facts.unread if note.item.startswith("container ")]


@pytest.mark.parametrize("failing", ["read_firewall", "read_systemd", "read_conntrack", "find_places", "describe"])
def test_a_collector_that_breaks_does_not_break_the_rest(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(sys.modules[gather_function.__module__], failing, fail)
    facts = gather()
    assert facts.containers
    assert "RuntimeError: boom" in {note.reason for note in facts.unread}


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:2376", "ssh://root@elsewhere"])
def test_of_an_engine_elsewhere_nothing_of_this_host_is_told(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", endpoint)
    facts = gather()
    assert facts.engine.socket == endpoint
    assert facts.host.hostname == "dockerhost"
    assert facts.containers
    assert facts.namespaces == facts.docker_proxies == facts.bridge_ports == ()
    assert facts.sysctls == {}
    assert facts.firewall.backend is FirewallBackend.IPTABLES_NFT
    assert facts.engine.userland_proxy is None
    items = {note.item for note in facts.unread}
    assert {"namespaces", "firewall", "daemon.json", "conntrack"} <= items
    assert all(endpoint in note.reason for note in facts.unread)


def test_a_daemon_json_with_a_byte_order_mark_is_a_problem_only_for_old_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: type[RecordedEngine]
) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert gather(daemon_json_path=path).daemon_json.problem is None
    monkeypatch.setattr(engine, "info", lambda self: {"ServerVersion": "20.10.24"})
    problem = gather(daemon_json_path=path).daemon_json.problem
    assert problem == "it begins with a byte order mark, which engine 20.10.24 refuses"
