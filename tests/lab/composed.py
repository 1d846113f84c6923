"""A real compose project on a lab host, and what must hold of it after whatever compose did."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from remedy.host.commands import Completed
from remedy.lab import Host

SECONDS = 25.0
HAPROXY = """\
global
    stats socket /var/run/haproxy.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    default-server check inter 500ms
resolvers own
    nameserver docker 127.0.0.11:53
    hold valid 1s
    hold nx 1s
    hold timeout 1h
    hold refused 1h
frontend web
    bind :8080
    default_backend api
backend api
{servers}
{more}
"""


@dataclass(frozen=True, slots=True)
class Project:
    """files: -f; without any, compose finds them itself."""

    host: Host
    name: str
    files: tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        """Where its files are."""
        return f"/srv/{self.name}"

    def write(self, name: str, content: str) -> None:
        """Write one of its files."""
        self.host.write_file(f"{self.directory}/{name}", content)

    def listed(self) -> list[str]:
        """The names of its files."""
        return sorted(self.host.run(["ls", "-A", self.directory]).stdout.split())

    def compose(self, *words: str, check: bool = True) -> Completed:
        """Run docker compose in the project's directory."""
        files = [word for file in self.files for word in ("-f", file)]
        command = ["env", "-C", self.directory, "docker", "compose", *files, *words]
        return self.host.run(command, check=check, timeout=90)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine says of the service's containers."""
        return inspect(
            self.host,
            f"label=com.docker.compose.project={self.name}",
            f"label=com.docker.compose.service={service}",
        )


def inspect(host: Host, *filters: str) -> list[dict[str, Any]]:
    """The running containers that pass."""
    ids = host.run(["docker", "ps", "-q", *(word for text in filters for word in ("-f", text))]).stdout.split()
    found: list[dict[str, Any]] = json.loads(host.run(["docker", "inspect", *ids]).stdout) if ids else []
    return found


def addresses(container: dict[str, Any]) -> set[str]:
    """The container's addresses."""
    return {network["IPAddress"] for network in container["NetworkSettings"]["Networks"].values()}


def ports(project: Project, service: str) -> list[int]:
    """The host ports at which the service is published."""
    bindings = [b for c in project.containers(service) for b in c["NetworkSettings"]["Ports"]["8080/tcp"]]
    return sorted({int(binding["HostPort"]) for binding in bindings})


def servers(host: Host, haproxy: str, backend: str) -> list[tuple[str, str, int, int]]:
    """haproxy's servers: name, address, port, state (2: up)."""
    command = ["docker", "exec", "-i", haproxy, "socat", "-", "/var/run/haproxy.sock"]
    said = host.run(command, stdin=f"show servers state {backend}\n").stdout.splitlines()
    rows = [line.split() for line in said[2:] if line.strip()]
    return [(row[3], row[4], int(row[18]), int(row[5])) for row in rows]


def asked(host: Host, times: int = 12) -> list[str]:
    """What an outside client is answered: `name=... src=... ...`, or curl's complaint."""
    url = f"http://{host.address}:8080/"
    done = [host.external.run(["curl", "-sS", "-m", "3", url], check=False) for _ in range(times)]
    return [(one.stdout or one.stderr).strip() for one in done]


def eventually(question: str, ask: Any) -> None:
    """Ask until the answer is [], the list of what is wrong; fail with it when the time is over."""
    deadline = time.monotonic() + SECONDS
    wrong: Sequence[str] = ["not asked"]
    while wrong and time.monotonic() < deadline:
        try:
            wrong = ask()
        except Exception as error:
            wrong = [repr(error)]
        time.sleep(0.3 if wrong else 0)
    assert not wrong, f"{question}: {wrong}"
