"""Whatever daemon.json looks like: refused with a reason, or applied and put back byte for byte."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.lab

DAEMON_JSON = "/etc/docker/daemon.json"
SPEC = "/root/remedy.yaml"


@pytest.fixture(scope="module", params=["20.10", "28.5"])
def host(request, module_lab_host):
    host = module_lab_host(engine=request.param, topology="operator")
    host.run(["remedy", "init", "-o", SPEC])
    return host


def apply(host):
    return host.run(["remedy", "-c", SPEC, "apply", "--yes", "--format", "json"], check=False, timeout=120)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{ "log-level":"info",\n\n   "log-opts" : {}  , "debug":false}\n',
        b'{"userland-proxy": true}\n',
        b'{\r\n\t"live-restore": true\r\n}\r\n',
        b'{"live-restore":false}',
    ],
    ids=["empty", "empty object", "odd layout", "explicit true", "live-restore on", "live-restore off"],
)
def test_a_file_that_the_engine_takes_is_changed_and_put_back_byte_for_byte(host, content):
    host.write_file(DAEMON_JSON, content, mode=0o640)
    done = apply(host)
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["result"] == "applied"
    assert json.loads(host.read_file(DAEMON_JSON))["userland-proxy"] is False
    assert host.run(["pgrep", "-c", "docker-proxy"], check=False).stdout.strip() == "0"
    host.run(["remedy", "rollback", "--yes"], timeout=120)
    assert host.read_file(DAEMON_JSON) == content
    assert host.run(["stat", "-c", "%a", DAEMON_JSON]).stdout.strip() == "640"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'// our settings\n{"debug": false}', 7),
        (b"[1]", 7),
        (b'{"debug": false', 7),
        (b'{"debug": false, "no-such-key": 1}', None),
    ],
    ids=["comment", "no object", "truncated", "a key that no engine knows"],
)
def test_a_file_that_the_engine_would_not_start_with_is_left_alone(host, content, status):
    before = host.run(["docker", "ps", "--no-trunc", "-q"]).stdout
    started = host.run(["systemctl", "show", "-p", "ExecMainStartTimestampMonotonic", "docker"]).stdout
    host.write_file(DAEMON_JSON, content)
    done = apply(host)
    # dockerd --validate (from 23.0) tells before anything is changed; 20.10 when it is asked to reload.
    assert done.status == (status or (3 if host.engine == "20.10" else 1)), done.stdout
    assert "daemon.json" in done.stdout + done.stderr
    assert host.read_file(DAEMON_JSON) == content
    assert host.run(["docker", "ps", "--no-trunc", "-q"]).stdout == before
    assert host.run(["systemctl", "show", "-p", "ExecMainStartTimestampMonotonic", "docker"]).stdout == started


def test_a_symbolic_link_is_not_written_through_and_its_target_can_be_named(host):
    host.write_file("/srv/daemon.json", b'{"debug": false}')
    host.run(["rm", "-f", DAEMON_JSON])
    host.run(["ln", "-s", "/srv/daemon.json", DAEMON_JSON])
    done = apply(host)
    assert done.status == 7
    assert "--daemon-json /srv/daemon.json" in done.stdout
    named = ["remedy", "-c", SPEC, "--daemon-json", "/srv/daemon.json"]
    host.run([*named, "apply", "--yes"], timeout=120)
    host.run(["remedy", "rollback", "--yes"], timeout=120)
    assert host.read_file("/srv/daemon.json") == b'{"debug": false}'
    assert host.run(["readlink", DAEMON_JSON]).stdout.strip() == "/srv/daemon.json"
    host.run(["rm", DAEMON_JSON])


def test_a_file_that_the_engine_does_not_read_is_refused(host):
    host.write_file("/srv/other.json", b"{}")
    done = host.run(["remedy", "-c", SPEC, "--daemon-json", "/srv/other.json", "apply", "--yes"], check=False)
    assert done.status == 7
    assert f"dockerd reads {DAEMON_JSON}, not /srv/other.json" in done.stdout
    assert host.read_file("/srv/other.json") == b"{}"


def test_a_file_that_cannot_be_written_changes_nothing(host):
    host.write_file(DAEMON_JSON, b'{"debug": false}')
    host.run(["mount", "--bind", "/etc/docker", "/etc/docker"])
    host.run(["mount", "-o", "remount,bind,ro", "/etc/docker"])
    try:
        done = apply(host)
    finally:
        host.run(["umount", "/etc/docker"])
    assert done.status == 1
    assert "cannot be written" in done.stdout
    assert host.read_file(DAEMON_JSON) == b'{"debug": false}'


def test_a_byte_order_mark_stays_where_the_engine_takes_one(host):
    content = b'\xef\xbb\xbf{"debug": false}'
    host.write_file(DAEMON_JSON, content)
    done = apply(host)
    # moby 44777: accepted from 23.0.
    assert done.status == (7 if host.engine == "20.10" else 0), done.stdout
    host.run(["remedy", "rollback", "--yes"], timeout=120)
    assert host.read_file(DAEMON_JSON) == content
