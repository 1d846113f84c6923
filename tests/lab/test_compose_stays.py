"""What remedy rewires stays so whatever compose does afterwards: recreation, scaling, restarts, a reboot."""

from __future__ import annotations

import json

import pytest
from composed import HAPROXY, Project, addresses, asked, eventually, ports, servers
from operating import Operator

pytestmark = pytest.mark.lab

NETWORK = "remedy-lb"
OVERRIDE = "compose.override.yaml"
HAPROXY_SERVICE = """\
  haproxy:
    image: remedy-lab:latest
    pull_policy: never
    command: [haproxy]
    restart: unless-stopped
    ports: ["8080:8080"]
    volumes: ["./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"]
"""
API_SERVICE = """\
  api:
    image: remedy-lab:latest
    pull_policy: never
    command: [nginx]
    restart: unless-stopped
    deploy: {{replicas: {count}}}
    ports: ["{first}-{last}:8080"]
"""


def services(*texts: str, bridge: bool = False) -> str:
    text = "services:\n" + "".join(texts)
    # A range gives the ports out anew at each start.
    return text.replace("    restart:", "    network_mode: bridge\n    restart:") if bridge else text


def spec(balancer: str, *projects: str) -> str:
    backends = "".join(f"  - {{project: {name}, service: api, port: 8080}}\n" for name in projects)
    return f"version: 1\nload_balancer: {balancer}\nbackends:\n{backends}remedies:\n  user_network: {NETWORK}\n"


def written_servers(published: list[int]) -> str:
    return "\n".join(f"    server s{number} 172.17.0.1:{port}" for number, port in enumerate(published, 1))


class World:
    """haproxy, the projects of its backends, and what must hold of them."""

    def __init__(self, balancer: Project, *projects: Project, template: str | None = None) -> None:
        self.host = balancer.host
        self.haproxy = f"{balancer.name}-haproxy-1"
        self.balancer, self.projects, self.template = balancer, projects, template

    def holds(self, after: str) -> None:
        """Members and aliases, haproxy's servers, and the answers that a client gets."""
        eventually(f"on the network after {after}", self._off_the_network)
        eventually(f"haproxy's servers after {after}", self._wrong_servers)
        eventually(f"served after {after}", self._unserved)

    def _members(self):
        return [
            (container, f"{project.name}-{service}")
            for project in {p.name: p for p in (self.balancer, *self.projects)}.values()
            for service in ("haproxy", "api")
            for container in project.containers(service)
        ]

    def _off_the_network(self) -> list[str]:
        members = self._members()
        wrong = [] if members else ["no containers"]
        for container, alias in members:
            found = container["NetworkSettings"]["Networks"].get(NETWORK)
            if found is None or alias not in (found["Aliases"] or ()):
                wrong.append(f"{container['Name']} has not {alias}: {found}")
        return wrong

    def _wrong_servers(self) -> list[str]:
        """Each container has one server that is up; the others belong to containers that are gone."""
        backends = [c for project in self.projects for c in project.containers("api")]
        known = {address: c["Name"] for c in backends for address in addresses(c) if address}
        seen = servers(self.host, self.haproxy, "api")
        up = [known.get(address) for _, address, port, state in seen if state == 2 and port == 8080]
        wrong = [] if sorted(map(str, up)) == sorted(c["Name"] for c in backends) else [f"{seen} of {known}"]
        if self.template is not None:
            found = {known.get(a) for _, a, _, state in servers(self.host, self.haproxy, "template") if state == 2}
            expected = {c["Name"] for p in self.projects if p.name == self.template for c in p.containers("api")}
            wrong += [] if found == expected else [f"the template has {found}"]
        return wrong

    def _unserved(self) -> list[str]:
        answers = asked(self.host)
        balancer = addresses(self.balancer.containers("haproxy")[0])
        sources = {word.removeprefix("src=") for answer in answers for word in answer.split() if word[:4] == "src="}
        wrong = [answer for answer in answers if not answer.startswith("name=")]
        # docker-proxy and the engine's NAT would show a gateway.
        return wrong + [f"came from {source}" for source in sources - balancer]


def applied(operator: Operator, actions: int) -> None:
    report = operator.json("apply", "--yes")
    assert report["result"] == "applied", report
    assert len([a for a in report["actions"] if a["kind"] == "compose_override"]) == actions
    assert operator.json("plan")["changes"] is False


def rolled_back(operator: Operator, world: World, *options: str) -> None:
    done = operator.remedy("rollback", "--yes", *options)
    assert done.status == 0, done.stdout + done.stderr
    warnings = [line for line in done.stdout.splitlines() if "Warning:" in line]
    # 28 gives eth0 and eth1 in no fixed order to who was started on two networks.
    assert not [line for line in warnings if "started on two networks" not in line]
    assert NETWORK not in operator.host.run(["docker", "network", "ls"]).stdout
    for project in world.projects:
        assert not [name for name in project.listed() if "override" in name or "remedy" in name]


@pytest.mark.parametrize("engine", ["26.1", "28.5"])
def test_services_on_the_default_bridge_stay_on_the_network(lab_host, engine):
    """The operator's shape: `network_mode: bridge`, which the override takes away."""
    host = lab_host(engine=engine, topology="empty")
    dev = Project(host, "dev1")
    dev.write(
        "compose.yaml", services(HAPROXY_SERVICE, API_SERVICE.format(count=4, first=5001, last=5004), bridge=True)
    )
    dev.write("haproxy.cfg", HAPROXY.format(servers=written_servers([5001, 5002, 5003, 5004]), more=""))
    before = dev.listed()
    dev.compose("up", "-d")
    operator = Operator(host, spec("{project: dev1, service: haproxy}", "dev1"))
    world = World(dev, dev)

    applied(operator, 1)
    world.holds("apply")
    for words in (("up", "-d"), ("up", "-d", "--force-recreate"), ("restart",)):
        dev.compose(*words)
        world.holds(" ".join(words))
        assert operator.json("plan")["changes"] is False
    assert dev.containers("api")[0]["HostConfig"]["NetworkMode"] == "dev1_default"
    assert operator.json("status")["drift"] == []

    dev.compose("up", "-d", "--scale", "api=2")
    world.holds("scaling down")
    dev.compose("up", "-d")
    world.holds("scaling up")
    host.run(["systemctl", "restart", "docker"])
    world.holds("a restart of the engine")
    host.reboot()
    world.holds("a reboot")

    edited = host.run(["cat", f"{dev.directory}/{OVERRIDE}"]).stdout + "# mine\n"
    dev.write(OVERRIDE, edited)
    refused = operator.remedy("rollback", "--yes")
    assert refused.status == 7
    assert f"{OVERRIDE} was edited since" in refused.stderr
    assert "+# mine" in refused.stderr
    rolled_back(operator, world, "--force")
    assert (operator.runs()[-1] / f"overwritten-{OVERRIDE}").read_text() == edited
    assert dev.listed() == before
    dev.compose("up", "-d")
    assert {c["HostConfig"]["NetworkMode"] for c in dev.containers("api")} == {"bridge"}
    eventually("served as before", lambda: [a for a in asked(host) if not a.startswith("name=")])


def test_two_projects_with_networks_of_their_own_stay_on_the_network_beside_them(lab_host):
    """The same service name in both; one is started with files of the operator's choice."""
    host = lab_host(engine="28.5", topology="empty")
    blue, green = Project(host, "blue"), Project(host, "green", ("stack.yaml",))
    template = "backend template\n    server-template t 5 blue-api:8080 resolvers own init-addr none"
    blue.write("docker-compose.yml", services(HAPROXY_SERVICE, API_SERVICE.format(count=2, first=5001, last=5005)))
    green.write("stack.yaml", services(API_SERVICE.format(count=2, first=5011, last=5012)))
    blue.write("haproxy.cfg", HAPROXY.format(servers="", more=""))
    for project in (blue, green):
        project.compose("up", "-d")
    published = [*ports(blue, "api"), *ports(green, "api")]
    blue.write("haproxy.cfg", HAPROXY.format(servers=written_servers(published), more=template))
    blue.compose("restart", "haproxy")
    operator = Operator(host, spec("blue-haproxy-1", "blue", "green"))
    world = World(blue, blue, green, template="blue")

    plan = operator.json("plan")
    told = {warning["code"]: warning["detail"] for warning in plan["warnings"]}
    assert "-f /srv/green/stack.yaml -f /srv/green/compose.remedy.yaml" in told["compose-include"]
    applied(operator, 2)
    assert "docker-compose.override.yml" in blue.listed()
    assert "compose.remedy.yaml" in green.listed()
    world.holds("apply")

    green = Project(host, "green", ("stack.yaml", "compose.remedy.yaml"))
    world = World(blue, blue, green, template="blue")
    for project in (blue, green):
        project.compose("up", "-d", "--force-recreate")
    world.holds("recreation of both")
    assert set(green.containers("api")[0]["NetworkSettings"]["Networks"]) == {"green_default", NETWORK}
    answer = operator.json("plan")
    assert answer["changes"] is False
    assert "compose-include" not in {warning["code"] for warning in answer["warnings"]}

    blue.compose("up", "-d", "--scale", "api=5")
    eventually(
        "the template follows the service",
        lambda: [] if len([s for s in servers(host, world.haproxy, "template") if s[3] == 2]) == 5 else ["not yet"],
    )
    blue.compose("up", "-d")
    world.holds("scaling up and back")
    rolled_back(operator, world)


def test_an_override_that_compose_would_reject_is_not_left_there(lab_host):
    """The file changed between the containers' start and now: the service has another name in it."""
    host = lab_host(engine="28.5", topology="empty")
    dev = Project(host, "dev1")
    text = services(HAPROXY_SERVICE, API_SERVICE.format(count=1, first=5001, last=5001), bridge=True)
    dev.write("compose.yaml", text)
    dev.write("haproxy.cfg", HAPROXY.format(servers=written_servers([5001]), more=""))
    dev.compose("up", "-d")
    dev.write("compose.yaml", text.replace("  api:", "  renamed:"))
    operator = Operator(host, spec("dev1-haproxy-1", "dev1"))
    before = dev.listed()

    done = operator.remedy("apply", "--yes", "--format", "json")

    report = json.loads(done.stdout)
    assert (done.status, report["result"]) == (3, "rolled-back")
    assert "api" in json.dumps(report)
    assert dev.listed() == before
