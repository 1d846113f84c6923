"""The watcher on real engines: rules follow the containers, through all weather, and everything can be undone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest
from operating import DIRECTORY, Operator
from prometheus_client.parser import text_string_to_metric_families
from state import differences, host_state, without_processes

from remedy.lab import Host

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
        return self.docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name)

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


def test_flapping_containers_leave_the_rules_right(watched: Watched) -> None:
    known = len(watched.watch_transactions())
    script = "for i in 1 2 3 4; do docker kill dev1-api-1; docker start dev1-api-1; done; docker stop -t0 dev1-api-2"
    watched.host.run(["sh", "-c", script], timeout=60)
    watched.docker("start", "dev1-api-2")
    watched.wait(lambda: watched.rules() == watched.right())
    watched.holds()
    followed = watched.watch_transactions()[: len(watched.watch_transactions()) - known]
    assert followed
    assert all(one["result"] == "applied" and one["of_run"] for one in followed)


@pytest.mark.parametrize(
    "damage",
    [
        ["nft", "delete", "table", "ip", "remedy_hairpin"],
        ["nft", "flush", "table", "ip", "remedy_hairpin"],
        ["nft", "flush", "ruleset"],
    ],
)
def test_rules_that_somebody_takes_away_come_back(watched: Watched, damage: list[str]) -> None:
    watched.host.run(damage)
    watched.wait(lambda: watched.rules() == watched.right(), 4.0)


def test_an_engine_that_restarts_is_followed_again(watched: Watched) -> None:
    watched.systemctl("stop", "docker.service", "docker.socket")
    time.sleep(3)
    watched.systemctl("start", "docker.socket", "docker.service")  # brings back its own rules too, flushed above
    watched.wait(lambda: "the engine tells its events again" in watched.log(), 15)
    watched.wait(lambda: watched.rules() == watched.right(), 10)
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
    assert "nothing is applied on this host" in watched.log()
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
    legacy.host.run(["iptables-legacy", "-t", "nat", "-F", "REMEDY-HAIRPIN-PRE"])
    legacy.wait(lambda: legacy.rules() == legacy.right(), 6)
    legacy.holds()
    assert legacy.operator.json("status")["drift"] == []
    legacy.systemctl("stop", UNIT)
    [drift] = legacy.operator.json("status")["drift"]
    assert (drift["where"], drift["found"]) == ("remedy-watch.service", "inactive")
    legacy.operator.remedy("apply", "--yes", check=True)
    assert legacy.operator.json("status")["drift"] == []
    while legacy.operator.json("status")["state"] == "applied":
        legacy.operator.remedy("rollback", "--yes", check=True)
    assert legacy.rules() == {}
    after = without_processes(host_state(legacy.host))
    assert [line for line in differences(before, after) if "/var/lib/remedy" not in line] == []


def test_a_container_made_again_without_the_network_joins_it_untracked_and_leaves_with_the_run(
    lab_host: Callable[..., Host],
) -> None:
    watched = Watched(lab_host(engine="28.5", firewall="nft"))
    watched.host.run(["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1"])
    spec = SPEC.replace("hairpin: {loopback: true}", "user_network: remedy-lb\n  notrack: true")
    watched.host.write_file(f"{DIRECTORY}/remedy.yaml", spec)
    watched.operator.remedy("watch", "--install", check=True)
    watched.operator.remedy("apply", "--yes", check=True)
    assert watched.pairs() == watched.neighbours("dev1-haproxy-1", *APIS)
    watched.docker("rm", "-f", "dev1-api-2")
    watched.wait(lambda: watched.pairs() == watched.neighbours("dev1-haproxy-1", "dev1-api-1", "dev1-api-3"))
    squatter = watched.docker("run", "-d", "--network", "remedy-lb", "remedy-lab:latest", "idle")  # takes its address
    watched.docker("run", "-d", "--name", "dev1-api-2", "-p", "5002:8080", "remedy-lab:latest", "nginx")
    networks = ("inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}")
    watched.wait(lambda: watched.docker(*networks, "dev1-api-2").split() == ["bridge", "remedy-lb"], 4)
    watched.wait(lambda: watched.pairs() == watched.neighbours("dev1-haproxy-1", *APIS))
    took = watched.restarted("dev1-api-1")
    print(f"untracked again {took:.2f} s after docker restart")
    watched.host.run(["nft", "delete", "table", "ip", "remedy_notrack"])
    watched.wait(lambda: watched.pairs() == watched.neighbours("dev1-haproxy-1", *APIS))
    assert watched.operator.json("status")["drift"] == []
    # Made again by hand, it is not of the compose project any more: its override would say so.
    planned = [action["id"] for action in watched.operator.json("plan")["actions"]]
    assert planned == ["compose_override:dev1"]
    watched.docker("rm", "-f", squatter)
    watched.operator.remedy("uninstall", "--yes", check=True)
    assert watched.pairs() == set()
    assert watched.docker(*networks, "dev1-api-2").split() == ["bridge"]
    assert "remedy-lb" not in watched.docker("network", "ls")
    resolvers = [watched.host.read_file(watched.docker("inspect", "-f", "{{.ResolvConfPath}}", name)) for name in APIS]
    assert len(set(resolvers)) == 1
    assert b"127.0.0.11" not in resolvers[0]
