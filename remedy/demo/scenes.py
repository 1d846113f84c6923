"""The demonstration, scene by scene. Each does on a lab host what an operator does on a real one, and shows it."""

from __future__ import annotations

import json
import os

from rich.text import Text

from remedy.bench.load_model import LoadResult
from remedy.demo.evidence import backend_flows, proxied_ports
from remedy.demo.figures import AFTER, BACK, BEFORE, Figures, cost, judged, loss_rows, speed_rows, summary
from remedy.demo.host_state import State, difference, read_state
from remedy.demo.operator import Operator
from remedy.demo.stage import Stage
from remedy.demo.throughput import ROUNDS, SECONDS, measure
from remedy.demo.traffic import direct_way, losses, ways
from remedy.facts.model import HostFacts
from remedy.lab import Host

SPEC = "/etc/remedy/remedy.yaml"
PLAN = "/root/first.plan"
FIRST_PROBES = "trying today's connections"  # what apply and rollback say when they begin; the plan was shown before
BUSY = 1.5  # load for each processor, above which throughput says more about the neighbours

PICTURE = """
today  client → :8080 haproxy → 172.17.0.1:5001 → docker-proxy → api   two connections, a process between
after  client → :8080 haproxy → 172.17.0.1:5001 ───── DNAT ────→ api   one connection, in the kernel
"""

CANNOT_BE_KEPT = {
    "apply": "What docker-proxy itself holds ends with it, between two requests where there is a pause.",
    "rollback": "What the kernel translated from 127.0.0.1 ends with route_localnet, likewise in a pause.",
}


class Demonstration:
    """Plays the scenes on one host, in order."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self._host = host
        self._stage = stage
        self._operator = Operator(host, stage)
        self._before: State = {}
        self._figures = Figures()

    def play(self) -> Figures:
        """All scenes. Raises RemedyError when one of them cannot go on."""
        self._show_host()
        self._show_what_is_proxied()
        self._warn_if_busy()
        self._measure(BEFORE, "haproxy reaches its backends by the bridge's gateway and their published ports.")
        self._plan()
        self._apply()
        self._measure(AFTER, "The same two ways, with nothing but the kernel in between.")
        self._roll_back()
        self._measure(BACK, "Once more with docker-proxy, so that nobody has to believe in a lucky moment.")
        self._stage.panel("In short", summary(self._figures), "green" if self._figures.is_good else "red")
        return self._figures

    def _warn_if_busy(self) -> None:
        load, processors = os.getloadavg()[0], os.cpu_count() or 1
        if load > processors * BUSY:
            self._stage.say((f"Busy machine (load {load:.1f}): expect noise in requests per second.", "yellow"))

    def _show_host(self) -> None:
        self._stage.scene(
            "A Docker host",
            f"Docker {self._host.engine} under systemd, in namespaces of its own, with iptables-{self._host.firewall}: "
            "one haproxy in front of three api containers.",
        )
        self._stage.picture(PICTURE)
        self._stage.command("docker ps")
        self._operator.wait_for_backends(3)
        listed = self._operator.run("docker", "ps", "--format", "{{.Names}}\t{{.Ports}}")
        self._stage.table(("container", "published ports"), sorted(line.split("\t") for line in listed.splitlines()))

    def _show_what_is_proxied(self) -> None:
        self._stage.scene(
            "What runs through docker-proxy today",
            "The engine keeps docker-proxy processes for each published port. Containers that use a port by the "
            "gateway's address are served by them: a process takes the connection and makes a second one to the "
            "container. Whose connections these are:",
        )
        self._stage.command("remedy facts", "while a client keeps 16 connections busy")
        facts = self._operator.facts_under_load()
        self._figures.proxies[BEFORE] = len(facts.docker_proxies)
        self._stage.table(
            ("port>", "of", "docker-proxy pids", "now serving", "sockets>", "memory>"),
            (
                (
                    str(port.port),
                    port.container,
                    ", ".join(map(str, port.pids)),
                    ", ".join(f"{name} ×{count}" for name, count in port.clients) or Text("nobody", "dim"),
                    str(port.sockets),
                    f"{port.resident_bytes / 1e6:.1f} MB",
                )
                for port in proxied_ports(facts)
            ),
        )
        self._show_flows("conntrack keeps two entries for each connection to api 1:", facts)

    def _show_flows(self, introduction: str, facts: HostFacts) -> None:
        self._stage.say(introduction)
        self._stage.table(
            ("from", "to", "translated", "entries>"),
            ((flow.source, flow.destination, flow.translation, str(flow.count)) for flow in backend_flows(facts, 5001)),
        )

    def _measure(self, state: str, explanation: str) -> None:
        self._stage.scene(
            f"Requests per second, {state}",
            f"{explanation} wrk, 1 KiB answers: the median of {ROUNDS} rounds of {SECONDS} s that take turns. "
            "In brackets: the share of what the backend's own address carried in the same round.",
        )
        self._stage.command("wrk -t1 -c32 -d1s http://172.17.0.1:5001/1k", "in haproxy's network; from outside, :8080")
        with self._stage.waiting("measuring") as say:
            self._figures.speeds[state] = measure(ways(self._host), direct_way(self._host), say)
        measured = self._figures.speeds
        self._stage.table(("way", *(f"{name}>" for name in measured)), speed_rows(measured))

    def _plan(self) -> None:
        self._stage.scene(
            "What remedy would do",
            "init writes the remedy.yaml that is right for this host, with reasons. plan lists every touch of it; "
            "in full also with its reason, before and after. Nothing is changed yet.",
        )
        self._stage.command(f"remedy init -o {SPEC}")
        self._operator.run("mkdir", "-p", "/etc/remedy")
        self._operator.show("remedy", "init", "-o", SPEC)
        self._stage.command(f"remedy plan -o {PLAN}")
        plan = json.loads(self._operator.run("remedy", "plan", "-o", PLAN, "--format", "json"))
        self._stage.table(
            (" >", "action", "cost", "undo"),
            (
                (str(number), action["summary"], cost(action["disruption"]), action["inverse"])
                for number, action in enumerate(plan["actions"], start=1)
            ),
        )
        self._stage.table(
            ("connection", "travels by", "afterwards by"),
            ((f"{path['from']} → {path['to']}", path["before"], path["after"]) for path in plan["paths"]),
        )

    def _apply(self) -> None:
        self._stage.scene(
            "The change, under load",
            "Four clients open a new connection every 10 ms each, and keep one alive. remedy's own rules take over the "
            "traffic first; only then the engine restarts without docker-proxy. The containers live on.",
        )
        with self._stage.waiting("reading the host's state"):
            self._before = read_state(self._host)
        command = ("remedy", "apply", PLAN, "--yes", "--confirm-within", "60s")
        self._stage.command(" ".join(command))
        self._show_losses("apply", self._operator.show_under_load(*command, begin=FIRST_PROBES))
        self._stage.command("remedy confirm", "without it the host goes back by itself, even after a reboot")
        self._operator.show("remedy", "confirm")
        self._stage.command("remedy status")
        self._operator.show("remedy", "status")
        facts = self._operator.facts_under_load()
        self._figures.proxies[AFTER] = len(facts.docker_proxies)
        self._show_flows("One conntrack entry for each connection now, translated in the kernel:", facts)

    def _roll_back(self) -> None:
        self._stage.scene(
            "And back, under the same load",
            "Undo is exact: daemon.json byte for byte, rules, sysctls, bridge ports and networks as they were, nothing "
            "of remedy left. The host's own programs are the witnesses, before apply and after rollback.",
        )
        command = ("remedy", "rollback", "--yes")
        self._stage.command(" ".join(command))
        self._show_losses("rollback", self._operator.show_under_load(*command, begin=FIRST_PROBES))
        self._figures.proxies[BACK] = len(self._operator.facts().docker_proxies)
        self._stage.command("diff before-apply after-rollback")
        with self._stage.waiting("reading the host's state"):
            after = read_state(self._host)
        self._show_difference(difference(self._before, after))

    def _show_difference(self, found: dict[str, tuple[str, ...]]) -> None:
        self._stage.table(
            ("compared", "lines>", "differences>"),
            ((name, f"{len(self._before[name]):,}", judged(len(lines))) for name, lines in found.items()),
        )
        for name, lines in found.items():
            for line in lines:
                self._stage.output(f"{name}: {line}")
        self._figures.lines_compared = sum(map(len, self._before.values()))
        self._figures.differences = sum(map(len, found.values()))

    def _show_losses(self, command: str, result: LoadResult) -> None:
        self._figures.traffic[command] = losses(result)
        self._stage.table(("clients", "new connections>", "lost>", "longest wait>", "kept-alive"), loss_rows(result))
        if any(seen.keep_alive_closes + seen.keep_alive_failures for seen in result.vantages):
            self._stage.say((CANNOT_BE_KEPT[command], "dim"))
