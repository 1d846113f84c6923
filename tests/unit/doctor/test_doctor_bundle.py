"""A bundle holds what a report needs, and no secret; it is private, and overwrites nothing."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile

import doctor_samples as host
import pytest

from remedy.doctor.bundle import write_bundle
from remedy.doctor.diagnosis import diagnose
from remedy.doctor.redaction import redact
from remedy.errors import InputError, RemedyError
from remedy.facts import parse_facts
from remedy.facts.model import HaproxyFile

SECRET = "hunter2"


def secretive():
    """A host with secrets wherever somebody may have put one."""
    raw = json.dumps({"userland-proxy": True, "log-opts": {"splunk-token": SECRET}, "proxies": SECRET}).encode()
    facts = host.with_container(
        host.operator(),
        "dev1-api-1",
        environment={"DB": SECRET, "PASSWORD": ""},
        labels={"owner": SECRET, "com.docker.compose.project": "dev1"},
        command=("server", f"--password={SECRET}"),
        entrypoint=("sh", "-c", f"TOKEN={SECRET} run"),
    )
    config = HaproxyFile(
        path="/haproxy.cfg", raw=f"stats auth admin:{SECRET}\n".encode(), device=1, inode=2, mode=0o600, uid=0, gid=0
    )
    balancer = facts.haproxies[0].model_copy(update={"files": (config,)})
    return host.changed(
        facts,
        haproxies=(balancer,),
        daemon_json={"exists": True, "raw": raw, "parsed": json.loads(raw)},
        engine={"environment": {"PATH": "/usr/bin", "HTTP_PROXY": f"http://u:{SECRET}@proxy"}},
        firewall={"backend_evidence": f"http://user:{SECRET}@example/"},
    )


@pytest.fixture
def state(tmp_path):
    run = tmp_path / "state" / "runs" / "20261104-101500-3fa9"
    run.mkdir(parents=True)
    content = base64.urlsafe_b64encode(json.dumps({"auths": SECRET, "mtu": 1400}).encode()).decode()
    config = {"path": "x", "raw": base64.urlsafe_b64encode(f"stats auth admin:{SECRET}\n".encode()).decode()}
    actions = [{"original": {"path": "x", "raw": content}}, {"files": [{"original": config, "content": config}]}]
    (run / "plan.json").write_text(json.dumps({"actions": actions}))
    echo = base64.b64encode(SECRET.encode() * 3).decode()
    lines = [{"event": "intent", "data": {"raw": content}}, {"event": "x", "data": [f"echo {echo} | base64 -d > f"]}]
    (run / "journal.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"event": "cut sh')
    return tmp_path / "state"


def contents(path):
    with tarfile.open(path) as archive:
        return {item.name.partition("/")[2]: archive.extractfile(item).read().decode() for item in archive.getmembers()}


def decoded(text):
    """The text with everything in base64 beside it."""
    words = [word.strip('",') for word in text.split()]
    more = []
    for word in words:
        try:
            more.append(base64.urlsafe_b64decode(word).decode())
        except ValueError:
            continue
    return text + "".join(more)


def test_a_bundle_has_the_facts_findings_runs_and_versions_and_no_secret(tmp_path, state):
    facts = secretive()
    path = tmp_path / "bug.tar.gz"

    write_bundle(path, facts, diagnose(facts), state)

    files = contents(path)
    assert set(files) == {
        "README",
        "facts.json",
        "diagnosis.json",
        "versions.json",
        "state.json",
        "runs/20261104-101500-3fa9/plan.json",
        "runs/20261104-101500-3fa9/journal.jsonl",
    }
    for name, text in files.items():
        assert SECRET not in decoded(text), name
    assert json.loads(files["diagnosis.json"])["findings"][0]["code"] == "through-docker-proxy"
    assert json.loads(files["versions.json"])["engine"] == facts.engine.version
    assert "cut short" in files["runs/20261104-101500-3fa9/journal.jsonl"]
    assert "1400" in decoded(files["runs/20261104-101500-3fa9/plan.json"])


def test_the_facts_of_a_bundle_can_be_examined_again(tmp_path, state):
    facts = secretive()
    write_bundle(tmp_path / "b.tar.gz", facts, diagnose(facts), state)
    again = parse_facts(contents(tmp_path / "b.tar.gz")["facts.json"])
    assert again.daemon_json.parsed["userland-proxy"] is True
    assert [f.code for f in diagnose(again).findings] == [f.code for f in diagnose(facts).findings]
    (first,) = [c for c in again.containers if c.name == "dev1-api-1"]
    assert first.labels == {"owner": "", "com.docker.compose.project": "dev1"}
    assert set(first.environment) == {"DB", "PASSWORD"}
    assert first.command == ("server", "(redacted)")


def test_a_bundle_is_private_and_one_document_where_its_name_says_json(tmp_path, state):
    facts = host.operator()
    path = tmp_path / "bug.json"
    old = os.umask(0)
    try:
        write_bundle(path, facts, diagnose(facts), state)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(path.read_text())) >= {"README", "facts.json", "diagnosis.json"}


def test_nothing_is_overwritten_and_no_link_followed(tmp_path, state):
    facts = host.operator()
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for path in (there, link):
        with pytest.raises(RemedyError, match="left alone"):
            write_bundle(path, facts, diagnose(facts), state)
    assert there.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(InputError):
        write_bundle(tmp_path / "no" / "x.json", facts, diagnose(facts), state)


def test_a_host_without_runs_has_a_bundle_too(tmp_path):
    facts = host.operator()
    write_bundle(tmp_path / "b.tar.gz", facts, diagnose(facts), tmp_path / "none")
    assert "facts.json" in contents(tmp_path / "b.tar.gz")


@pytest.mark.parametrize(
    "text",
    [
        "http://user:hunter2@host/x",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "Bearer eyJhbGciOiJIUzI1.hunter2",
        "DB_PASSWORD=hunter2",
        "--api-key=hunter2 --x",
        "token: hunter2",
    ],
)
def test_what_looks_like_a_secret_goes_wherever_it_stands(text):
    assert "hunter2" not in json.dumps(redact({"note": [text]}))


@pytest.mark.parametrize(
    "text", ["-A FORWARD -i docker0 -j DROP", "172.17.0.1:5001", "/usr/bin/docker-proxy -proto tcp"]
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_an_archive_reads_to_its_end(tmp_path, state):
    facts = host.operator()
    write_bundle(tmp_path / "b.tar.gz", facts, diagnose(facts), state)
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "b.tar.gz").read_bytes())) as archive:
        assert all(member.mode == 0o600 for member in archive.getmembers())
