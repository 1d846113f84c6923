"""The watcher on real engines: rules follow the containers, through all weather, and everything can be undone."""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from operating import DIRECTORY, Operator
from prometheus_client.parser import text_string_to_metric_families
from state import differences, host_state, without_processes

from remedy.lab import Host
from remedy.lab.namespaces import find_process

pytestmark = pytest.mark.lab

SPEC = """\
version: 1
load_balancer: dev1-haproxy-1
backends:
  - {containers: [dev1-api-1, dev1-api-2, dev1-api-3], port: 8080}
remedies:
  hairpin: {loopback: true}
"""
UNIT = "remedy-watch"
METRICS = "/run/remedy/metrics.sock"
APIS = {f"dev1-api-{n}": 5000 + n for n in (1, 2, 3)}
JOINED = (*APIS, "dev1-haproxy-1")
PIDFD_GETFD = 438
PROMPT = 5.0  # a second is promised, from the start event; a machine that runs other tests beside is given more


class Watched:
    """One host with the watcher installed and hairpin applied, which all tests of the module share."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.before = host_state(host, traffic=False)
        self.operator = Operator(host, SPEC)

    def docker(self, *arguments: str) -> str:
        return self.host.run(["docker", *arguments], timeout=60).stdout.strip()

    def systemctl(self, *arguments: str) -> str:
        return self.host.run(["systemctl", *arguments], timeout=60).stdout.strip()

    def address(self, name: str) -> str:
        return self.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)

    def rules(self) -> dict[int, str]:
        """Published port -> address of the container that it is redirected to, as the kernel has them."""
        if self.host.firewall == "legacy":
            saved = self.host.run(["iptables-legacy-save", "-t", "nat"], check=False).stdout
            lines = [line for line in saved.splitlines() if line.startswith("-A REMEDY-HAIRPIN")]
            found = re.findall(r"--dport (\d+) .*--to-destination ([\d.]+):8080", "\n".join(lines))
        else:
            listed = self.host.run(["nft", "list", "table", "ip", "remedy_hairpin"], check=False).stdout
            found = re.findall(r'tcp \. (\d+)(?: comment "[^"]*")? : ([\d.]+) \. 8080', listed)
        return {int(port): address for port, address in found}

    def table(self) -> str:
        """All of remedy's own, to the word."""
        return self.host.run(["nft", "-s", "list", "table", "ip", "remedy_hairpin"], check=False).stdout

    def own_lines(self) -> list[str]:
        """The same where iptables is legacy."""
        saved = self.host.run(["iptables-legacy-save", "-t", "nat"]).stdout
        return [line for line in saved.splitlines() if "REMEDY" in line]

    def pid(self) -> str:
        """The watcher's."""
        return self.systemctl("show", "-p", "MainPID", "--value", UNIT)

    def swap(self, *names: str) -> None:
        """Two containers get each other's address: the engine gives out the lowest that is free."""
        lower, higher = sorted(names, key=lambda name: ip_address(self.address(name)))
        self.docker("kill", lower, higher)
        self.docker("start", higher)
        self.docker("start", lower)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The watcher does not run meanwhile (SIGSTOP)."""
        pid = self.pid()
        self.host.run(["kill", "-STOP", pid])
        try:
            yield
        finally:
            self.host.run(["kill", "-CONT", pid])

    def answers_through_haproxy(self) -> bool:
        asked = self.host.external.run(["curl", "-sm2", f"http://{self.host.address}:8080/"], check=False)
        return asked.stdout.startswith("name=")

    def serves(self) -> None:
        """haproxy reaches its backends by name, untracked, and nobody sees drift."""
        self.wait(self.answers_through_haproxy, 10)
        self.wait(lambda: self.pairs() == self.neighbours("dev1-haproxy-1", *APIS), 10)
        assert self.operator.json("status")["drift"] == []

    def networks(self, container: str) -> str:
        return self.docker(
            "inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", container
        )

    def all_are_on_it(self) -> bool:
        return {self.networks(name) for name in JOINED} == {"bridge remedy-lb"}

    def subnet(self, network: str) -> str:
        return self.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network)

    def bridge(self, network: str) -> str:
        """A user-defined network's."""
        return f"br-{self.docker('network', 'inspect', '-f', '{{.Id}}', network)[:12]}"

    def right(self) -> dict[int, str]:
        return {port: self.address(name) for name, port in APIS.items()}

    def pairs(self) -> set[tuple[str, str]]:
        """(load balancer's address, server's address) of what is not tracked, as the kernel has it."""
        listed = self.host.run(["nft", "list", "table", "ip", "remedy_notrack"], check=False).stdout
        return set(re.findall(r"tcp \. ([\d.]+) \. ([\d.]+) \. 8080", listed))

    def neighbours(self, balancer: str, *servers: str) -> set[tuple[str, str]]:
        """The same, as the containers are now."""
        asked = '{{(index .NetworkSettings.Networks "remedy-lb").IPAddress}}'
        client, *others = self.docker("inspect", "-f", asked, balancer, *servers).split()
        return {(client, server) for server in others}

    def own_tables(self) -> dict[str, bool]:
        """Whose own conntrack table is kept empty."""
        return {table["container"]: table["kept_empty"] for table in self.operator.json("status")["own_tables"]}

    def restarted(self, name: str) -> float:
        """Restart it; how long after that its pair is right."""
        self.docker("restart", "-t", "0", name)
        return self.wait(lambda: self.pairs() == self.neighbours("dev1-haproxy-1", *APIS))

    def wait(self, wanted: Callable[[], bool], seconds: float = PROMPT) -> float:
        began = time.monotonic()
        while not wanted():
            assert time.monotonic() - began < seconds, f"{self.rules()}\n{self.log()}"
            time.sleep(0.02)
        return time.monotonic() - began

    def log(self) -> str:
        return self.host.run(["journalctl", "-u", UNIT, "--no-pager", "-o", "cat", "-n", "40"]).stdout

    def holds(self) -> None:
        """The rules are those of a fresh plan, and nobody sees drift."""
        until = time.monotonic() + 10  # hairpin mode comes with the full look, when it is quiet
        while (plan := self.operator.json("plan"))["changes"] and time.monotonic() < until:
            time.sleep(0.2)
        assert plan["changes"] is False, plan["actions"]
        assert plan["refusals"] == []
        assert self.operator.json("status")["drift"] == []

    def metrics(self) -> dict[str, float]:
        """Name -> value of the metrics without labels."""
        curl = ["curl", "-sS", "-m", "5", "--unix-socket", METRICS, "http://localhost/metrics"]
        families = text_string_to_metric_families(self.host.run(curl).stdout)
        return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}

    def watch_transactions(self) -> list[dict[str, object]]:
        return [run for run in self.operator.json("history")["runs"] if run["command"] == "watch"]


def sockets_to_the_engine(pid: int) -> Iterator[socket.socket]:
    """The sockets by which a process talks to the engine now, as one's own (pidfd_getfd)."""
    libc, process = ctypes.CDLL(None, use_errno=True), os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            number = libc.syscall(PIDFD_GETFD, process, int(entry.name), 0)
            if number < 0:  # closed meanwhile
                continue
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                os.close(number)
                continue
            with socket.socket(fileno=number) as channel, suppress(OSError):
                if str(channel.getpeername()).endswith("docker.sock"):
                    yield channel
    finally:
        os.close(process)


@pytest.fixture(scope="module")
def watched(module_lab_host: Callable[..., Host]) -> Watched:
    return Watched(module_lab_host(engine="28.5", firewall="nft"))


def test_with_the_watcher_installed_pinned_rules_need_no_acceptance(watched: Watched) -> None:
    assert watched.operator.remedy("apply", "--yes").status == 7
    done = watched.operator.remedy("watch", "--install", check=True)
    assert "installed" in done.stdout
    assert watched.operator.remedy("apply", "--yes", check=True).status == 0
    assert watched.rules() == watched.right()
    exposure = watched.host.run(["systemd-analyze", "security", UNIT, "--no-pager"], check=False).stdout
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", exposure)[1]) < 4.5


def test_two_containers_that_swap_their_addresses_are_never_mistaken(watched: Watched) -> None:
    old = watched.right()
    watched.docker("stop", "-t", "0", "dev1-api-1", "dev1-api-2")
    watched.wait(lambda: watched.rules() == {5003: old[5003]})
    watched.docker("start", "dev1-api-2")
    watched.docker("start", "dev1-api-1")
    new = watched.right()
    assert new == {5001: old[5002], 5002: old[5001], 5003: old[5003]}
    took = watched.wait(lambda: watched.rules() == new)
    print(f"right {took:.2f} s after docker start")
    watched.holds()


def test_a_container_made_again_is_followed_by_its_name(watched: Watched) -> None:
    watched.docker("rm", "-f", "dev1-api-3")
    watched.wait(lambda: 5003 not in watched.rules())
    squatter = watched.docker("run", "-d", "--name", "squatter", "remedy-lab:latest", "idle")  # takes its address
    again = ["--restart", "unless-stopped", "-p", "5003:8080", "remedy-lab:latest", "nginx"]
    watched.docker("run", "-d", "--name", "dev1-api-3", *again)
    watched.wait(lambda: watched.rules() == watched.right())
    watched.holds()
    watched.docker("rm", "-f", squatter)


def test_flapping_containers_leave_the_rules_right_and_others_alone(watched: Watched) -> None:
    """Two that die and start as fast as the engine can, and one that nobody publishes: an event every 50 to 100 ms."""
    known = len(watched.watch_transactions())
    watched.docker("run", "-d", "--name", "flap", "remedy-lab:latest", "idle")
    flap = "for i in 1 2 3; do docker kill {0}; docker start {0}; done"
    names = ("dev1-api-1", "dev1-api-2", "flap")
    flapping = watched.host.popen(["sh", "-c", " & ".join(f"({flap.format(name)})" for name in names) + " & wait"])
    bystander = watched.address("dev1-api-3")
    while flapping.poll() is None:
        assert watched.rules().get(5003) == bystander, watched.log()
        time.sleep(0.05)
    watched.wait(lambda: watched.rules() == watched.right())
    watched.docker("rm", "-f", "flap")
    watched.holds()
    followed = watched.watch_transactions()[: len(watched.watch_transactions()) - known]
    assert followed
    assert all(one["result"] == "applied" and one["of_run"] for one in followed)


@pytest.mark.parametrize(
    "damage",
    [
        "delete table ip remedy_hairpin",
        "flush table ip remedy_hairpin",
        "flush chain ip remedy_hairpin prerouting",
        "delete chain ip remedy_hairpin guard_localnet",
        'delete element ip remedy_hairpin own_bridge { "docker0" . tcp . 5001 }',
        "add element ip remedy_hairpin own_targets { tcp . 172.17.0.99 . 8080 }",
        "flush ruleset",
    ],
)
def test_what_somebody_changes_of_our_rules_is_put_back(watched: Watched, damage: str) -> None:
    before = watched.table()
    watched.host.run(["nft", damage])
    assert watched.table() != before
    watched.wait(lambda: watched.table() == before, 4.0)
    assert "somebody changed remedy's rules" in watched.log()


def test_an_engine_that_restarts_is_followed_again(watched: Watched) -> None:
    watched.systemctl("stop", "docker.service", "docker.socket")
    time.sleep(3)
    watched.systemctl("start", "docker.socket", "docker.service")  # brings back its own rules too, flushed above
    watched.wait(lambda: "the engine tells its events again" in watched.log(), 15)
    watched.wait(lambda: watched.rules() == watched.right(), 10)
    watched.holds()


def test_an_event_stream_that_is_cut_loses_nothing(watched: Watched) -> None:
    pid = find_process(watched.host.place, int(watched.pid()))
    cutting = watched.host.popen(["sh", "-c", "docker kill dev1-api-1 dev1-api-2; docker start dev1-api-2 dev1-api-1"])
    while cutting.poll() is None:
        for channel in sockets_to_the_engine(pid):
            channel.shutdown(socket.SHUT_RDWR)
        time.sleep(0.03)
    watched.wait(lambda: watched.rules() == watched.right())
    watched.wait(lambda: "the engine tells its events again" in watched.log().split("the engine tells no events")[-1])
    watched.holds()


def test_a_watcher_that_was_stopped_for_a_while_finds_out_what_it_missed(watched: Watched) -> None:
    old = watched.right()
    with watched.stopped():
        watched.swap("dev1-api-1", "dev1-api-2")
        assert watched.rules() == old
    watched.wait(lambda: watched.rules() == watched.right())
    assert watched.right() == {5001: old[5002], 5002: old[5001], 5003: old[5003]}


def test_a_full_disk_keeps_no_wrong_rule_on_the_host(watched: Watched) -> None:
    state = "/var/lib/remedy"
    # The service has mounts of its own, which may not see new ones: it is started anew on both sides.
    watched.host.run(["sh", "-ec", f"cp -a {state} /root/state; mount -t tmpfs -o size=2M,mode=700 none {state}"])
    watched.host.run(["sh", "-ec", f"cp -a /root/state/. {state}; systemctl restart {UNIT}"])
    try:
        watched.host.run(["sh", "-c", f"cat /dev/zero > {state}/ballast"], check=False)
        old = watched.right()
        watched.swap("dev1-api-1", "dev1-api-2")
        watched.wait(lambda: watched.rules() == watched.right())
        assert watched.right() != old
        assert "No space left on device" in watched.log()
        watched.host.run(["rm", f"{state}/ballast"])
        watched.docker("restart", "-t", "0", "dev1-api-1")
        watched.holds()
    finally:
        watched.host.run(["sh", "-c", f"rm -f {state}/ballast; rm -rf /root/state; cp -a {state} /root/state"])
        watched.host.run(["sh", "-ec", f"umount {state}; cp -a /root/state/. {state}; systemctl restart {UNIT}"])
        watched.host.run(["rm", "-rf", "/root/state"])
    watched.holds()


def test_a_spec_that_becomes_wrong_is_not_taken(watched: Watched) -> None:
    watched.host.write_file(f"{DIRECTORY}/remedy.yaml", SPEC + "nonsense: 1\n")
    watched.systemctl("reload", UNIT)
    watched.wait(lambda: "remedy.yaml was not taken" in watched.log(), 5)
    watched.docker("restart", "-t", "0", "dev1-api-1")
    watched.wait(lambda: watched.rules() == watched.right())
    watched.host.write_file(f"{DIRECTORY}/remedy.yaml", SPEC)
    watched.systemctl("reload", UNIT)
    watched.wait(lambda: "is in force" in watched.log(), 5)


def test_metrics_are_offered_when_asked_and_tell_what_was_done(watched: Watched) -> None:
    refused = watched.operator.remedy("watch", "--install", "--metrics", "0.0.0.0:9417")
    assert refused.status == 64
    assert "other machines" in refused.stdout + refused.stderr
    assert not watched.host.path_of("/run/remedy").exists()
    watched.operator.remedy("watch", "--install", "--metrics", f"unix:{METRICS}", check=True)
    assert watched.metrics()["remedy_redirects"] == len(APIS)
    watched.docker("restart", "-t", "0", "dev1-api-1")
    watched.wait(lambda: watched.metrics()["remedy_watch_transactions_total"] >= 2)
    watched.wait(lambda: watched.rules() == watched.right())
    watched.wait(lambda: "remedy_drift" in watched.metrics(), 20)  # counted apart, a moment later
    assert watched.metrics()["remedy_watch_engine_connected"] == 1


def test_killed_in_the_middle_it_is_started_again_and_finishes(watched: Watched) -> None:
    pid = watched.systemctl("show", "-p", "MainPID", "--value", UNIT)
    watched.host.run(["sh", "-c", f"docker restart -t0 dev1-api-1 dev1-api-2 & sleep 0.6; kill -9 {pid}; wait"])
    watched.wait(lambda: watched.systemctl("show", "-p", "MainPID", "--value", UNIT) not in ("0", pid), 15)
    watched.wait(lambda: watched.rules() == watched.right(), 15)
    watched.holds()
    assert watched.metrics()["remedy_redirects"] == len(APIS)  # at the socket that the killed one left


def test_a_network_that_is_made_again_with_another_subnet_is_followed(watched: Watched) -> None:
    """dev1-api-3 stays on it: what is undone is undone there, too, and the network is its maker's."""
    run = "docker run -d --name dev1-api-3 --network back --restart unless-stopped -p 5003:8080 remedy-lab nginx"
    for subnet in ("10.88.0.0/24", "10.89.0.0/24"):
        script = (
            f"docker rm -f dev1-api-3; docker network rm back; docker network create --subnet {subnet} back && {run}"
        )
        watched.host.run(["sh", "-c", script])
        assert watched.address("dev1-api-3").startswith(subnet[:6])
        watched.wait(lambda: watched.rules() == watched.right())
        watched.holds()
        assert (
            watched.host.run(["sysctl", "-n", f"net.ipv4.conf.{watched.bridge('back')}.route_localnet"]).stdout == "1\n"
        )


def test_rollback_waits_for_the_watcher_which_holds_nothing_while_nothing_is_applied(watched: Watched) -> None:
    flapping = watched.host.popen(["sh", "-c", "while :; do docker restart -t0 dev1-api-1; done"])
    try:
        time.sleep(1)
        done = watched.operator.remedy("rollback", "--yes")
        assert done.status == 0, done.stdout + done.stderr
        assert watched.rules() == {}
        time.sleep(1)
        assert watched.rules() == {}
    finally:
        flapping.kill()
        flapping.wait()
    watched.wait(lambda: "nothing is applied on this host" in watched.log(), 10)
    watched.wait(lambda: watched.docker("inspect", "-f", "{{.State.Running}}", "dev1-api-1") == "true", 10)
    watched.operator.remedy("apply", "--yes", check=True)
    watched.docker("restart", "-t", "0", "dev1-api-1")
    watched.wait(lambda: watched.rules() == watched.right())


def test_a_reboot_brings_the_rules_back_without_an_operator(watched: Watched) -> None:
    watched.host.reboot()
    watched.wait(lambda: watched.rules() == watched.right(), 30)
    watched.holds()


def test_uninstall_leaves_the_host_as_it_was(watched: Watched) -> None:
    done = watched.operator.remedy("uninstall", "--yes", "--format", "json")
    assert done.status == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["units"] == ["remedy-watch.service"]
    assert watched.rules() == {}
    assert not watched.host.path_of("/var/lib/remedy").exists()
    assert watched.host.run(["ls", "/run/remedy"], check=False).status != 0
    assert watched.subnet("back") == "10.89.0.0/24"
    assert watched.host.run(["sysctl", "-n", f"net.ipv4.conf.{watched.bridge('back')}.route_localnet"]).stdout == "0\n"
    after = host_state(watched.host, traffic=False)
    assert set(after["hairpin_mode"].values()) == {"0"}
    for part in ("nft tables", "units", "failed units", "temporary files", "files"):
        assert after[part] == watched.before[part]


def test_without_nftables_rules_heal_and_the_run_takes_its_watcher_along(
    lab_host: Callable[..., Host],
) -> None:
    legacy = Watched(lab_host(engine="20.10", firewall="legacy"))
    legacy.host.write_file(f"{DIRECTORY}/remedy.yaml", SPEC + "watch: true\n")
    before = without_processes(host_state(legacy.host))
    legacy.operator.remedy("apply", "--yes", check=True)
    legacy.docker("restart", "-t", "0", "dev1-api-1")
    legacy.wait(lambda: legacy.rules() == legacy.right())
    legacy.holds()
    whole = legacy.own_lines()
    jump = "iptables-legacy -t nat -S PREROUTING | grep REMEDY | sed 's/^-A/iptables-legacy -t nat -D/' | sh"
    restore = "iptables-legacy-save -t nat | grep -v REMEDY | iptables-legacy-restore"  # what somebody saved before
    for damage in ("iptables-legacy -t nat -F REMEDY-HAIRPIN-PRE", jump, restore):
        legacy.host.run(["sh", "-c", damage])
        assert legacy.own_lines() != whole
        legacy.wait(lambda: sorted(legacy.own_lines()) == sorted(whole), 15)
    legacy.holds()
    assert legacy.operator.json("status")["drift"] == []
    legacy.systemctl("stop", UNIT)
    service = legacy.host.read_file(f"/etc/systemd/system/{UNIT}.service")
    [drift] = legacy.operator.json("status")["drift"]
    assert (drift["where"], drift["found"]) == ("remedy-watch.service", "inactive")
    legacy.operator.remedy("apply", "--yes", check=True)
    assert legacy.operator.json("status")["drift"] == []
    legacy.operator.remedy("rollback", "--yes", check=True)
    assert legacy.host.read_file(f"/etc/systemd/system/{UNIT}.service") == service
    assert legacy.operator.json("status")["watcher"] == "inactive", "it did not run before"
    legacy.operator.remedy("rollback", "--yes", check=True)
    assert legacy.operator.json("status")["watcher"] is None
    assert legacy.rules() == {}
    after = without_processes(host_state(legacy.host))
    assert [line for line in differences(before, after) if "/var/lib/remedy" not in line] == []


@pytest.fixture(scope="module")
def joined(module_lab_host: Callable[..., Host]) -> Watched:
    """Another host, with a network of remedy's and untracked pairs on it."""
    watched = Watched(module_lab_host(engine="28.5", firewall="nft"))
    watched.host.run(["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1"])
    spec = SPEC.replace("hairpin: {loopback: true}", "user_network: remedy-lb\n  notrack: true")
    watched.host.write_file(f"{DIRECTORY}/remedy.yaml", spec)
    watched.operator.remedy("watch", "--install", check=True)
    watched.operator.remedy("apply", "--yes", check=True)
    return watched


def test_a_container_made_again_without_the_network_joins_it_untracked(joined: Watched) -> None:
    watched = joined
    assert watched.pairs() == watched.neighbours("dev1-haproxy-1", *APIS)
    watched.docker("rm", "-f", "dev1-api-2")
    watched.wait(lambda: watched.pairs() == watched.neighbours("dev1-haproxy-1", "dev1-api-1", "dev1-api-3"))
    squatter = watched.docker("run", "-d", "--network", "remedy-lb", "remedy-lab:latest", "idle")  # takes its address
    watched.docker("run", "-d", "--name", "dev1-api-2", "-p", "5002:8080", "remedy-lab:latest", "nginx")
    watched.wait(lambda: watched.networks("dev1-api-2") == "bridge remedy-lb", 4)
    watched.wait(lambda: watched.pairs() == watched.neighbours("dev1-haproxy-1", *APIS))
    took = watched.restarted("dev1-api-1")
    print(f"untracked again {took:.2f} s after docker restart")
    # With its namespace its own table's rules have gone; the next look in full writes them, when it is quiet.
    took = watched.wait(lambda: watched.own_tables() == dict.fromkeys(JOINED, True), 10)
    print(f"its own table kept empty again {took:.2f} s later")
    watched.host.run(["nft", "delete", "table", "ip", "remedy_notrack"])
    watched.wait(lambda: watched.pairs() == watched.neighbours("dev1-haproxy-1", *APIS))
    assert watched.operator.json("status")["drift"] == []
    # Made again by hand, it is not of the compose project any more: its override would say so.
    planned = [action["id"] for action in watched.operator.json("plan")["actions"]]
    assert planned == ["compose_override:dev1"]
    watched.docker("rm", "-f", squatter)


def test_a_network_that_is_pruned_while_nobody_is_on_it_is_made_again(joined: Watched) -> None:
    own = joined.subnet("remedy-lb")
    with joined.stopped():
        joined.docker("rm", "-f", *APIS)
        joined.docker("network", "disconnect", "remedy-lb", "dev1-haproxy-1")
        assert "remedy-lb" in joined.docker("system", "prune", "-f")
    for name, port in APIS.items():
        joined.docker("run", "-d", "--name", name, "-p", f"{port}:8080", "remedy-lab:latest", "nginx")
    joined.wait(joined.all_are_on_it, 10)
    assert joined.subnet("remedy-lb") == own
    joined.serves()
    assert "make the network remedy-lb again" in joined.log()


def test_a_network_of_its_name_that_somebody_else_made_is_joined_and_stays_when_all_is_undone(joined: Watched) -> None:
    with joined.stopped():
        for name in JOINED:
            joined.docker("network", "disconnect", "remedy-lb", name)
        joined.docker("network", "rm", "remedy-lb")
        joined.docker("network", "create", "--internal", "--subnet", "10.77.0.0/24", "remedy-lb")
    joined.wait(joined.all_are_on_it, 10)
    joined.serves()
    joined.operator.remedy("uninstall", "--yes", check=True)
    assert joined.pairs() == set()
    assert not any(host_state(joined.host, traffic=False)["inside containers"].values())
    assert {joined.networks(name) for name in JOINED} == {"bridge"}
    assert joined.subnet("remedy-lb") == "10.77.0.0/24"
    resolvers = [joined.host.read_file(joined.docker("inspect", "-f", "{{.ResolvConfPath}}", name)) for name in APIS]
    assert len(set(resolvers)) == 1
    assert b"127.0.0.11" not in resolvers[0]
