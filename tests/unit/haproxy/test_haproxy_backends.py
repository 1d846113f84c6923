"""Which addresses a name may lead to, and what is said when it does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Interface, ip_address

import pytest

from remedy.facts.model import Address, Container, Endpoint
from remedy.haproxy import backends
from remedy.haproxy.backends import _missing, addresses_in_common
from remedy.plan.actions import RewiredServer


def container(name: str, **networks: str) -> Container:
    return Container(
        id=name,
        name=name,
        image="x",
        state="running",
        pid=1,
        started_at="",
        restart_policy="no",
        network_mode="bridge",
        labels={},
        endpoints=tuple(
            Endpoint(network_id=network, network_name=network, ipv4=IPv4Interface(f"{address}/24"))
            for network, address in networks.items()
        ),
        ports=(),
    )


def server(name: str, host: str, port: int = 80) -> RewiredServer:
    return RewiredServer(
        proxy="api",
        name=name,
        container=name,
        container_id=name,
        file="f",
        line=1,
        host_before="x",
        port_before=1,
        host=host,
        port=port,
    )


BALANCER = container("lb", bridge="172.17.0.2", lb="10.9.0.2", old="10.8.0.2")


def test_only_shared_networks_count_and_the_meant_one_comes_first() -> None:
    api = container("api", bridge="172.17.0.3", lb="10.9.0.3", other="10.7.0.3")
    assert [str(a) for a in addresses_in_common(BALANCER, api, "lb")] == ["10.9.0.3", "172.17.0.3"]
    assert [str(a) for a in addresses_in_common(None, api, "other")] == ["10.7.0.3", "172.17.0.3", "10.9.0.3"]
    assert addresses_in_common(BALANCER, container("far", other="10.7.0.4"), "lb") == ()


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def missing(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], servers: list[RewiredServer]) -> str | None:
    def resolve(name: str, kind: str) -> frozenset[Address]:
        return frozenset(ip_address(text) for text in answers.get(name, "").split()) if kind == "A" else frozenset()

    monkeypatch.setattr(backends, "resolve", resolve)
    expected = {one.container_id: (ip_address("127.0.0.1"),) for one in servers}
    return _missing(servers, expected, {one.host: frozenset({ip_address("127.0.0.1")}) for one in servers})


def test_a_name_that_leads_to_its_container_which_answers_is_there(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    assert missing(monkeypatch, {"api": "127.0.0.1"}, [server("api", "api", port)]) is None
    assert missing(monkeypatch, {}, [server("api", "127.0.0.1", port)]) is None


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "the name api does not lead to api"),
        ({"api": "127.0.0.1 10.0.0.9"}, "the name api leads to 10.0.0.9 too"),
        ({"api": "10.0.0.9"}, "the name api leads to 10.0.0.9 too"),
    ],
)
def test_a_name_that_leads_elsewhere_is_told(
    monkeypatch: pytest.MonkeyPatch, port: int, answers: dict[str, str], said: str
) -> None:
    assert said in str(missing(monkeypatch, answers, [server("api", "api", port)]))


def test_a_backend_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    said = missing(monkeypatch, {"api": "127.0.0.1"}, [server("api", "api", port + 1 if port < 65535 else 1)])
    assert "does not answer at 127.0.0.1" in str(said)
