"""haproxy's servers to other addresses, on real engines: nothing is lost, and every byte comes back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import LabHost
from haproxy_variants import INSIDE, UNIT, Variant, install_unit, make_shellless_image, start, variants
from losses import broken_by_the_network, lost_by_the_network
from rewiring import Rewiring

from remedy.bench.load_model import LoadOrder, Vantage
from remedy.bench.loading import Loading
from remedy.lab import Host

pytestmark = pytest.mark.lab

ALL = {variant.name: variant for variant in variants()}
GATEWAY = "172.17.0.1"


@pytest.fixture(scope="module")
def host(module_lab_host: LabHost) -> Host:
    """One host with a haproxy of every kind."""
    host = module_lab_host("28.5", "nft", Path(__file__).parent / "topologies" / "many-haproxies.yaml")
    make_shellless_image(host)
    for name in ("api-1", "api-2"):
        host.run(["docker", "network", "connect", "lb", name])
    for variant in ALL.values():
        start(host, variant)
    return host


@pytest.fixture
def rewire(host: Host) -> Iterator[Rewiring]:
    """A fresh haproxy for a test that spoils it."""
    variant = ALL["lb-plain"].renamed("lb-own")
    start(host, variant)
    yield Rewiring(host, variant.name, how=variant.how)
    host.run(["docker", "rm", "-f", variant.name], check=False)
    host.run(["rm", "-rf", "/srv/lb-own", "/root/rewiring/lb-own.json"])


OWN = "/srv/lb-own/haproxy.cfg"


def rewiring(host: Host, variant: Variant) -> Rewiring:
    return Rewiring(host, variant.name, how=variant.how, files=bool(variant.files))


def address_of(host: Host, name: str) -> str:
    return host.run(["docker", "inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name]).stdout.strip()


def sources(host: Host, name: str, seconds: float = 5.0) -> set[str]:
    """The addresses from which the backends see haproxy come: the gateway's, or its own on the network."""
    deadline = time.monotonic() + seconds
    while True:
        url = f"http://{address_of(host, name)}:8080/"
        answers = host.run(["curl", "-s", "-m", "3", *[url] * 4], check=False).stdout
        found = set(re.findall(r"src=(\S+)", answers))
        # One that has just started waits for its first health checks.
        if len(re.findall("src=", answers)) == 4 or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def is_direct(host: Host, name: str) -> bool:
    found = sources(host, name)
    return bool(found) and all(source.startswith("172.31.7.") for source in found)


def files(host: Host, paths: list[str]) -> list[str]:
    """Each file's inode, mode, owner and bytes."""
    return [host.run(["sh", "-c", f"stat -c '%i %a %u:%g' {path}; sha256sum < {path}"]).stdout for path in paths]


@pytest.mark.parametrize("name", ALL)
def test_it_is_led_to_its_containers_and_back(host: Host, name: str) -> None:
    variant = ALL[name]
    paths = list(variant.files)
    before = files(host, paths)
    assert sources(host, name) == {GATEWAY}

    assert rewiring(host, variant).must("apply")["is_applied"]
    assert is_direct(host, name)
    assert rewiring(host, variant).must("apply")["is_applied"]

    rewiring(host, variant).must("revert")
    assert files(host, paths) == before
    assert sources(host, name) == {GATEWAY}
    left = host.run(["find", "/proc/1/root/dev/shm", "/dev/shm", "-name", ".remedy*"], check=False).stdout
    assert left == ""


def test_a_haproxy_of_the_host_is_reloaded_by_its_unit(host: Host) -> None:
    install_unit(host)
    address = "{{.NetworkSettings.Networks.lb.IPAddress}}"
    backends = [host.run(["docker", "inspect", "-f", address, name]).stdout.strip() for name in ("api-1", "api-2")]
    edits = [[f"172.17.0.1:500{n}", f"{backend}:8080"] for n, backend in enumerate(backends, 1)]
    servers = [
        {**server, "host": backend}
        for server, backend in zip(Rewiring(host, "").order()["servers"], backends, strict=True)
    ]
    options = {"container": None, "unit": UNIT, "edits": edits, "servers": servers}
    rewire = Rewiring(host, "unit", options=options)
    path = ["/etc/haproxy/haproxy.cfg"]
    before = files(host, path)

    assert rewire.must("apply")["is_applied"]
    answer = host.run(["curl", "-s", "http://127.0.0.1:8088/"]).stdout
    assert "src=172.31.7.1 " in answer
    rewire.must("revert")
    assert files(host, path) == before
    assert host.run(["systemctl", "show", "-p", "NRestarts", "--value", UNIT]).stdout.strip() == "0"


@pytest.mark.parametrize("name", ["lb-plain", "lb-crlf", "lb-read-only"])
def test_no_request_is_lost_meanwhile(host: Host, name: str) -> None:
    """By a signal, by the runtime API and a signal, by the master's socket."""
    vantage = Vantage(name=name, netns=str(host.netns_path), address=address_of(host, name), port=8080, asks_again=True)
    assert sources(host, name) == {GATEWAY}
    for command in ("apply", "revert"):
        with Loading(LoadOrder(vantages=(vantage,))) as loading:
            time.sleep(0.5)
            rewiring(host, ALL[name]).must(command)
            time.sleep(0.5)
        (seen,) = loading.result.vantages
        assert seen.connections > 200
        assert lost_by_the_network(seen) == []
        assert broken_by_the_network(seen) == []
        assert seen.keep_alive_closes <= 1, seen.incidents


def test_a_kill_at_any_touch_is_undone_and_can_be_done_again(host: Host) -> None:
    """From the first word to haproxy on; what comes before it only asks."""
    variant = ALL["lb-crlf"]
    paths = list(variant.files)
    before = files(host, paths)
    rewire = rewiring(host, variant)
    touches = rewire.must("apply")["touches"]
    rewire.must("revert")
    for number in range(touches - 9, touches + 1):
        host.run(["rm", "-f", f"/root/rewiring/{variant.name}.json"])
        assert rewire.run("apply", kill_at=number).status == -9, number
        if number % 2:
            assert rewire.must("apply")["is_applied"], number
            assert is_direct(host, variant.name)
        for kill_at in (number % 9 + 3, 0):
            done = rewire.run("revert", kill_at=kill_at)
            assert done.status in ((0, -9) if kill_at else (0,)), (number, kill_at, done)
        assert files(host, paths) == before, number
        assert sources(host, variant.name) == {GATEWAY}, number


def test_a_configuration_that_haproxy_rejects_today_is_left_alone(host: Host, rewire: Rewiring) -> None:
    host.run(["sh", "-c", f"echo nonsense >> {OWN}"])
    broken = files(host, [OWN])
    done = rewire.run("apply")
    assert done.status == 1
    assert "rejects the configuration that it would load today" in done.stdout
    assert f"[{'/usr/local/etc/haproxy/haproxy.cfg'}:" in done.stdout
    assert "nonsense" in done.stdout
    rewire.must("revert")
    assert files(host, [OWN]) == broken
    assert sources(host, "lb-own") == {GATEWAY}


def test_a_candidate_that_haproxy_rejects_is_told_by_its_own_name_and_not_written(host: Host, rewire: Rewiring) -> None:
    before = files(host, [OWN])
    edits = [["172.17.0.1:5001", "api-1:8080 nonsense"]]
    done = Rewiring(host, "lb-own", options={"edits": edits}).run("apply")
    assert done.status == 1
    assert "haproxy rejects what its configuration would be" in done.stdout
    assert "/usr/local/etc/haproxy/haproxy.cfg:" in done.stdout
    assert ".remedy" not in done.stdout
    assert files(host, [OWN]) == before


def test_a_reload_that_fails_although_the_check_passed_is_told_and_undone(host: Host, rewire: Rewiring) -> None:
    before = files(host, [OWN])
    pid = host.run(["docker", "inspect", "-f", "{{.State.Pid}}", "lb-own"]).stdout.strip()
    edits = [*rewire.order()["edits"], ["    bind :8080\n", "    bind :8080\n    bind :7777\n"]]
    failing = Rewiring(host, "lb-own", options={"edits": edits, "wait": 5})
    server = ["nsenter", "-t", pid, "-n", "python3", "-m", "http.server", "7777"]
    # Whether a port is free is seen by a start only.
    with host.popen(server) as holder:
        wait_for_port(host, pid, 7777)
        done = failing.run("apply")
        holder.kill()
    assert done.status == 1
    assert "new workers did not take over" in done.stdout
    assert "cannot bind" in done.stdout
    assert sources(host, "lb-own") == {GATEWAY}
    Rewiring(host, "lb-own").must("revert")
    assert files(host, [OWN]) == before
    assert sources(host, "lb-own") == {GATEWAY}
    assert rewire.must("apply")["is_applied"], "its master takes reloads again"


def wait_for_port(host: Host, pid: str, port: int) -> None:
    for _ in range(50):
        if f":{port} " in host.run(["nsenter", "-t", pid, "-n", "ss", "-ltn"]).stdout:
            return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens on {port}")


@pytest.mark.parametrize("edit", [f"echo '# mine' >> {OWN}", f"cp {OWN} /srv/new && mv /srv/new {OWN}"])
def test_an_edit_between_plan_and_apply_is_not_written_over(host: Host, rewire: Rewiring, edit: str) -> None:
    rewire.must("plan")
    host.run(["sh", "-c", edit])
    edited = files(host, [OWN])
    done = rewire.run("apply")
    assert done.status == 6
    assert OWN in done.stdout
    assert files(host, [OWN]) == edited
    assert sources(host, "lb-own") == {GATEWAY}


def test_an_editor_that_renamed_a_read_only_mount_is_undone_where_haproxy_sees_it(host: Host, rewire: Rewiring) -> None:
    raw = host.read_file(OWN)
    rewire.must("apply")
    host.run(["sh", "-c", f"(cat {OWN}; echo '# mine') > /srv/new && mv /srv/new {OWN}"])
    rewire.must("revert")
    assert host.read_file(OWN) == raw
    process = Path(f"/proc/{host.container_pid('lb-own')}")
    assert (process / f"root{INSIDE}").read_bytes() == raw
    assert sources(host, "lb-own") == {GATEWAY}
    mounts = [line.split() for line in (process / "mounts").read_text().splitlines()]
    assert [words[3].split(",")[0] for words in mounts if words[1] == INSIDE] == ["ro"]


def test_a_backend_that_does_not_answer_there_stops_it_before_anything_is_written(host: Host, rewire: Rewiring) -> None:
    before = files(host, [OWN])
    servers = [{**server, "port": 8081} for server in rewire.order()["servers"]]
    done = Rewiring(host, "lb-own", options={"servers": servers, "wait": 1}).run("apply")
    assert done.status == 1
    assert "api-1 does not answer at 172.31.7." in done.stdout
    assert files(host, [OWN]) == before


def test_a_name_that_leads_elsewhere_stops_it(host: Host, rewire: Rewiring) -> None:
    servers = rewire.order()["servers"]
    servers = [{**servers[0], "host": "api-2"}]
    done = Rewiring(host, "lb-own", options={"servers": servers, "wait": 1}).run("apply")
    assert done.status == 1
    assert "the name api-2 leads to" in done.stdout


def test_a_container_that_was_restarted_or_removed_meanwhile_is_put_back_too(host: Host, rewire: Rewiring) -> None:
    before = files(host, [OWN])
    rewire.must("apply")
    host.run(["docker", "restart", "-t", "1", "lb-own"])
    assert is_direct(host, "lb-own")
    rewire.must("revert")
    assert files(host, [OWN]) == before
    assert sources(host, "lb-own") == {GATEWAY}
    rewire.must("apply")
    host.run(["docker", "rm", "-f", "lb-own"])
    rewire.must("revert")
    assert files(host, [OWN]) == before


def test_connections_over_the_network_are_waited_for(host: Host, rewire: Rewiring) -> None:
    rewire.must("apply")
    # A download that takes a while: the old worker keeps its connection to the backend.
    url = f"http://{address_of(host, 'lb-own')}:8080/100m"
    with host.popen(["curl", "-s", "-o", "/dev/null", "--limit-rate", "10M", url]) as slow:
        time.sleep(0.5)
        # Nobody is taken off the network: there is nothing to wait for.
        Rewiring(host, "lb-own", options={"joined": []}).must("revert")
        assert slow.poll() is None
        rewire.must("apply")
    with host.popen(["curl", "-s", "-o", "/dev/null", "--limit-rate", "10M", url]) as slow:
        time.sleep(0.5)
        answer = rewire.must("revert")
        assert slow.wait(30) == 0
    assert any("waiting up to" in note for note in answer["notes"]), answer
    assert any("old haproxy worker" in note for note in answer["notes"]), answer
