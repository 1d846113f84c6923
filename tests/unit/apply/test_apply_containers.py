"""What apply and rollback say of containers that others stopped, started or made meanwhile."""

from __future__ import annotations

import pytest

from remedy.actions.engine import Engine
from remedy.apply.meanwhile import container_changes
from remedy.apply.restarts import bindings_that_need_a_restart
from remedy.facts.model import Container, HostFacts
from remedy.plan.model import Plan

NAME = "dev1-api-1"


def with_container(facts: HostFacts, **changes: object) -> HostFacts:
    changed = [c.model_copy(update=changes) if c.name == NAME else c for c in facts.containers]
    return facts.model_copy(update={"containers": tuple(changed)})


def container(facts: HostFacts) -> Container:
    return next(c for c in facts.containers if c.name == NAME)


def test_nothing_is_said_of_containers_that_stayed_as_they_were(facts: HostFacts) -> None:
    assert container_changes(facts, facts) == ()


def test_each_change_of_a_container_has_its_word(facts: HostFacts) -> None:
    later = {"started_at": "2026-11-23T23:00:00Z"}
    assert container_changes(facts, with_container(facts, **later)) == (f"{NAME} was started again",)
    assert container_changes(facts, with_container(facts, id="f" * 64)) == (f"{NAME} was made again",)
    stopped = with_container(facts, state="exited", pid=0)
    assert container_changes(facts, stopped) == (f"{NAME} was stopped",)
    assert container_changes(stopped, with_container(facts, **later)) == (f"{NAME} was started",)
    without = facts.model_copy(update={"containers": tuple(c for c in facts.containers if c.name != NAME)})
    assert container_changes(facts, without) == (f"{NAME} was removed",)
    assert container_changes(without, facts) == (f"{NAME} was made",)


def test_a_binding_that_only_a_restart_brings_back_is_named_with_its_container(plan: Plan, facts: HostFacts) -> None:
    assert bindings_that_need_a_restart(plan, facts) == ()
    ports = tuple(p for p in container(facts).ports if p.host_address.version == 4)
    assert len(ports) < len(container(facts).ports), "these facts have bindings on [::]"
    (warning,) = bindings_that_need_a_restart(plan, with_container(facts, ports=ports))
    assert ":::5001" in warning
    assert f"docker restart {NAME}" in warning


def test_a_container_that_does_not_run_publishes_nothing_anyway(plan: Plan, facts: HostFacts) -> None:
    assert bindings_that_need_a_restart(plan, with_container(facts, state="exited", pid=0, ports=())) == ()


def test_a_paused_container_still_has_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told of as stopped, and not waited for."""

    class Api:
        def __init__(self, _socket: str) -> None:
            pass

        def containers(self) -> list[dict[str, object]]:
            networks = {"Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}}
            states = ("running", "paused", "exited")
            return [{"Names": [f"/{state}"], "State": state, "NetworkSettings": networks} for state in states]

        def close(self) -> None:
            pass

    monkeypatch.setattr("remedy.actions.engine.EngineApi", Api)
    assert Engine("unix:///nowhere").container_addresses().keys() == {"running", "paused"}
