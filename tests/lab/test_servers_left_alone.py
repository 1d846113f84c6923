"""Servers that share a container's name are all up, and one that would not answer there is left as it was."""

from __future__ import annotations

import time

import pytest
from conftest import LabHost
from operating import Operator

pytestmark = pytest.mark.lab

CONFIG = "/srv/dev1/haproxy.cfg"
SPEC = """\
version: 1
load_balancer: dev1-haproxy-1
backends: [{containers: [dev1-api-1, dev1-api-2, dev1-api-3, picky], port: 8080}]
remedies: {user_network: remedy-lb}
"""
SERVERS = """\
backend api
    server one 172.17.0.1:5001 check inter 500
    server same 172.17.0.1:5001 check inter 500
    server picky 172.17.0.1:5009 check inter 500
"""
BEFORE = dict.fromkeys(["one", "same", "picky"], "172.17.0.1")
# It listens on its address on the bridge, and on no other.
PICKY = 'exec socat "TCP-LISTEN:8080,bind=$(hostname -i),fork,reuseaddr" EXEC:/lab/answer.sh'


def test_names_are_shared_and_who_would_not_answer_is_left_alone(lab_host: LabHost) -> None:
    operator = Operator(lab_host("28.5", "nft"), SPEC)
    host = operator.host
    run = ["docker", "run", "-d", "--name", "picky", "-p", "5009:8080", "--entrypoint", "sh", "remedy-lab:latest"]
    host.run([*run, "-c", PICKY])
    text = host.read_file(CONFIG).decode()
    text = text[: text.index("\nbackend api") + 1] + SERVERS
    # In place: haproxy's container has the file itself mounted.
    host.run(["sh", "-c", f"cat > {CONFIG}"], stdin=text.encode())
    host.run(["docker", "kill", "-s", "USR2", "dev1-haproxy-1"])
    wait_for(operator, BEFORE)

    plan = operator.json("plan")
    (alone,) = [w for w in plan["warnings"] if w["code"] == "server-left-alone"]
    assert alone["detail"].startswith("on remedy-lb it would not come out at picky:8080: "), alone
    operator.remedy("apply", "--yes", check=True)

    wait_for(operator, {"one": "172.30.255.", "same": "172.30.255.", "picky": "172.17.0.1"})
    added = [line for line in host.read_file(CONFIG).decode().splitlines() if line not in text.splitlines()]
    assert [line.rpartition(" resolve-opts ")[2] for line in added[:2]] == ["allow-dup-ip"] * 2

    # An editor puts another file in the place of the one that the container goes on seeing, read-only.
    host.run(["sh", "-c", f"(cat {CONFIG}; echo '# mine') > {CONFIG}.new && mv {CONFIG}.new {CONFIG}"])
    (drift,) = operator.json("status")["drift"]
    assert drift["what"] == "haproxy's configuration was replaced by another file since remedy wrote it"
    assert operator.remedy("rollback", "--yes").status == 7
    operator.remedy("rollback", "--yes", "--force", check=True)
    assert host.read_file(CONFIG).decode() == text
    wait_for(operator, BEFORE)


def wait_for(operator: Operator, wanted: dict[str, str]) -> None:
    """Until exactly these servers are there and up, at addresses that begin so."""
    query = "echo 'show servers state api' | socat - /var/run/haproxy.sock"
    deadline = time.monotonic() + 15
    while True:
        answer = operator.host.run(["docker", "exec", "dev1-haproxy-1", "sh", "-c", query]).stdout
        rows = [row for row in map(str.split, answer.splitlines()) if len(row) > 10 and row[1] == "api"]
        found = {row[3]: row[4] for row in rows if row[5] == "2"}
        if found.keys() == wanted.keys() and all(found[name].startswith(address) for name, address in wanted.items()):
            return
        assert time.monotonic() < deadline, answer
        time.sleep(0.3)
