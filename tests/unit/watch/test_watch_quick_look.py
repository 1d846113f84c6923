"""The engine's list in the place of a full look; the service's file; what is told."""

from __future__ import annotations

import gzip
import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remedy.apply.settings import Settings
from remedy.cli.views.watch import json_line, text_line
from remedy.errors import RefusedError
from remedy.facts.model import HostFacts
from remedy.paths.published import published_ports
from remedy.plan.redirects import hairpin_ruleset
from remedy.spec.models import HairpinOptions
from remedy.watch import unit
from remedy.watch.notify import notify
from remedy.watch.quick_facts import with_listed
from remedy.watch.told import Told
from remedy.watch.unit import unit_text

FACTS = Path(__file__).parents[1] / "plan" / "data" / "facts-operator-28.5.json.gz"


@pytest.fixture
def facts() -> HostFacts:
    return HostFacts.model_validate_json(gzip.decompress(FACTS.read_bytes()))


def listed(facts: HostFacts, name: str, address: str, *, identity: str | None = None, state: str = "running"):
    """One container as /containers/json has it (moby 20.10 to 28.5)."""
    known = next(container for container in facts.containers if container.name == name)
    [endpoint] = known.endpoints
    network = {"NetworkID": endpoint.network_id, "IPAddress": address, "IPPrefixLen": 16, "Gateway": "172.17.0.1"}
    ports = [
        {"IP": str(p.host_address), "PrivatePort": p.container_port, "PublicPort": p.host_port, "Type": p.protocol}
        for p in known.ports
    ]
    return {
        "Id": identity or known.id,
        "Names": [f"/{name}"],
        "State": state,
        "Labels": known.labels,
        "Ports": [*ports, {"PrivatePort": 9000, "Type": "tcp"}],
        "NetworkSettings": {"Networks": {endpoint.network_name: network}},
        "HostConfig": {"NetworkMode": "default"},
    }


def addresses(facts: HostFacts) -> dict[int, str]:
    return {port.port: str(port.to_address) for port in published_ports(facts) if port.host_family == 4}


def test_the_list_tells_the_same_ports_as_the_look_in_full(facts: HostFacts) -> None:
    items = [listed(facts, container.name, str(container.endpoints[0].ipv4.ip)) for container in facts.containers]
    quick = with_listed(facts, items)
    by_list, in_full = (hairpin_ruleset(one, published_ports(one), HairpinOptions()) for one in (quick, facts))
    assert by_list == in_full
    assert quick.docker_proxies == facts.docker_proxies


def test_addresses_that_changed_are_those_of_the_list_whatever_old_proxies_say(facts: HostFacts) -> None:
    items = [
        listed(facts, "dev1-api-1", "172.17.0.77", identity="f" * 64),
        listed(facts, "dev1-api-2", "172.17.0.78"),
        listed(facts, "dev1-api-3", "", state="exited"),
    ]
    assert addresses(with_listed(facts, items)) == {5001: "172.17.0.77", 5002: "172.17.0.78"}


def test_the_service_says_which_spec_state_and_engine(tmp_path: Path) -> None:
    text = unit_text(Settings(tmp_path, "unix:///run/docker.sock"), Path("/etc/remedy/100%.yaml"))
    assert '"--config" "/etc/remedy/100%%.yaml"' in text
    assert f'"REMEDY_STATE_DIR={tmp_path}" "DOCKER_HOST=unix:///run/docker.sock"' in text
    assert "Type=notify" in text


def test_what_is_told_is_one_line_whatever_a_container_is_called() -> None:
    told = Told(
        time=datetime(2026, 11, 28, 12, 0, tzinfo=UTC),
        event="followed",
        text="hairpin rules",
        why=("evil\n\x1b[2J died", *(f"web-{n} died" for n in range(9))),
        seconds=0.1,
    )
    line = text_line(told, with_time=False)
    assert line.isprintable()
    assert line.endswith("and 6 more] (0.10 s)")
    assert json.loads(json_line(told))["why"][0] == "evil\n\x1b[2J died"
    assert "\n" not in json_line(told)


def test_systemd_is_told_where_it_asked_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1", "STATUS=well")
        assert channel.recv(100) == b"READY=1\nSTATUS=well"


def test_what_the_service_would_not_see_is_refused_before_the_watcher_that_is_there_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A service with PrivateTmp has an empty /tmp: it did not start, and the one before was gone."""
    touched: list[str] = []
    monkeypatch.setattr(unit, "systemd_is_init", lambda: True)
    monkeypatch.setattr(unit, "remove_unit", touched.append)
    settings = Settings(tmp_path, "unix:///run/docker.sock")
    for path in ("/tmp/remedy.yaml", "/var/tmp/../tmp/remedy.yaml"):
        with pytest.raises(RefusedError, match="would not find"):
            unit.install_watcher(settings, Path(path))
    monkeypatch.setattr("sys.executable", "/tmp/venv/bin/python")
    with pytest.raises(RefusedError, match="/tmp/venv/bin/python"):
        unit.install_watcher(settings, Path("/etc/remedy/remedy.yaml"))
    assert touched == []
