"""Facts of a lab host whose haproxy was busy when `remedy facts` looked: 16 client connections, three backends."""

import gzip
from pathlib import Path

import pytest

from remedy.demo.evidence import Flow, backend_flows, proxied_ports
from remedy.facts.model import HostFacts

DATA = Path(__file__).parent / "data" / "facts-under-load-28.5.json.gz"


@pytest.fixture(scope="module")
def facts() -> HostFacts:
    return HostFacts.model_validate_json(gzip.decompress(DATA.read_bytes()))


def test_every_proxied_port_names_its_container_and_who_uses_it(facts):
    ports = {port.port: port for port in proxied_ports(facts)}

    assert list(ports) == [443, 1983, 5001, 5002, 5003, 8080]
    assert ports[5001].container == "dev1-api-1"
    assert ports[5001].clients == (("dev1-haproxy-1", 16),)
    assert ports[8080].clients == ()


def test_a_proxied_connection_costs_two_sockets_and_two_processes_stand_by(facts):
    port = next(port for port in proxied_ports(facts) if port.port == 5002)

    assert port.clients == (("dev1-haproxy-1", 15),)
    assert port.sockets == 30
    assert len(port.pids) == 2
    assert port.resident_bytes > 5_000_000


def test_conntrack_has_both_halves_of_a_proxied_connection_untranslated(facts):
    assert set(backend_flows(facts, 5001)) == {
        Flow("dev1-haproxy-1", "172.17.0.1:5001", "none", 16),
        Flow("the host", "172.17.0.5:8080 (dev1-api-1)", "none", 16),
    }


def test_a_translated_connection_is_one_flow_that_names_its_backend(facts):
    proxied = next(e for e in facts.conntrack.entries if e.state == "ESTABLISHED" and e.destination_port == 5001)
    backend = next(c for c in facts.containers if c.name == "dev1-api-1").endpoints[0].ipv4.ip
    translated = proxied.model_copy(update={"reply_source": backend, "reply_source_port": 8080})
    conntrack = facts.conntrack.model_copy(update={"entries": (translated,)})

    (flow,) = backend_flows(facts.model_copy(update={"conntrack": conntrack}), 5001)

    assert flow == Flow("dev1-haproxy-1", "172.17.0.1:5001", "DNAT to dev1-api-1:8080", 16)
