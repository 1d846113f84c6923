"""Plans and reports as the views get them: made of the real models, shaped like those of a real host."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from remedy.apply.model import (
    ActionReport,
    Drift,
    HistoryEntry,
    HistoryReport,
    ProbeReport,
    RunReport,
    StatusReport,
)
from remedy.facts.model import ConntrackLosses, Protocol
from remedy.firewall.ruleset import Redirect, Ruleset
from remedy.paths.tracked import Origin, Tracked
from remedy.plan.actions import (
    Action,
    Disruption,
    FileContent,
    HairpinPort,
    HoldLiveRestore,
    ReleaseLiveRestore,
    RemoveRules,
    SetHairpinMode,
    SetSysctls,
    SwitchUserlandProxy,
    WriteRules,
)
from remedy.plan.model import PathChange, Plan, PlanHost, PlanWarning, ProbePlan, Refusal

DAEMON_JSON = "/etc/docker/daemon.json"
ORIGINAL = b'{\n  "log-driver": "local"\n}\n'
HELD = b'{\n  "log-driver": "local",\n  "userland-proxy": false,\n  "live-restore": true\n}\n'
FINAL = b'{\n  "log-driver": "local",\n  "userland-proxy": false\n}\n'
RELEASED = b'{\n  "log-driver": "local",\n  "userland-proxy": false,\n  "live-restore": false\n}\n'
WHEN = datetime(2026, 11, 4, 10, 15, tzinfo=UTC)


def file(raw: bytes | None) -> FileContent:
    return FileContent(path=DAEMON_JSON, raw=raw)


def redirect(index: int) -> Redirect:
    return Redirect(
        protocol=Protocol.TCP,
        address=None,
        port=5000 + index,
        to_address=ip_address(f"172.17.0.{index + 1}"),
        to_port=8080,
        bridge="docker0",
        subnet=ip_network("172.17.0.0/16"),
        container=f"dev1-api-{index}",
        from_elsewhere=True,
        from_host=True,
        from_loopback=True,
    )


RULES = Ruleset(
    name="bridging",
    redirects=tuple(redirect(index) for index in (1, 2, 3)),
    engine_bridges=("docker0",),
    guard_localnet=("docker0",),
    forward_guard=True,
)


def switch_off_actions() -> tuple[Action, ...]:
    """Everything that takes the userland proxy off without losing a connection."""
    return (
        SetSysctls(
            id="1-sysctls",
            summary="Route 127.0.0.0/8 on docker0",
            reason="loopback connections are redirected to containers while docker-proxy is gone",
            before="net.ipv4.conf.docker0.route_localnet = 0",
            after="1",
            inverse="write 0 again",
            values={"net.ipv4.conf.docker0.route_localnet": "1"},
            previous={"net.ipv4.conf.docker0.route_localnet": "0"},
        ),
        SetHairpinMode(
            id="2-hairpin",
            summary="Switch hairpin mode on for 2 bridge ports",
            reason="a container that connects to its own published port is sent back through the port it came from",
            before="off for 2 ports",
            after="on",
            inverse="switch it off for the same ports",
            ports=(
                HairpinPort(
                    bridge="docker0",
                    interface="veth1a2b",
                    container="dev1-api-1",
                    container_id="a" * 64,
                    previous=False,
                ),
                HairpinPort(
                    bridge="docker0",
                    interface="veth3c4d",
                    container="dev1-api-2",
                    container_id="b" * 64,
                    previous=False,
                ),
            ),
            bridges=("docker0",),
            userland_proxy_after_undo=True,
        ),
        WriteRules(
            id="3-rules",
            summary="Redirect 3 published ports past docker-proxy",
            reason="they carry the traffic while the engine restarts and has no rules of its own",
            before="no rules of remedy's",
            after="table inet remedy: 3 redirects, accepted ahead of the engine's rules",
            inverse="remove the table",
            ruleset=RULES,
            firewall_backend="nftables",
        ),
        HoldLiveRestore(
            id="4-hold",
            summary="Switch live-restore on for the restart",
            reason="containers live on while the engine restarts",
            before="off",
            after="on (checked by docker info)",
            inverse="switch it off and write the original file",
            disruption=Disruption(level="reload", what="the engine rereads daemon.json"),
            path=DAEMON_JSON,
            content=file(HELD),
            release_content=file(RELEASED),
            original=file(ORIGINAL),
            effective_before=False,
        ),
        SwitchUserlandProxy(
            id="5-proxy",
            summary="Restart the engine without the userland proxy",
            reason="only a restart takes docker-proxy off the published ports",
            before="6 docker-proxy processes carry 40 connections",
            after="none; the kernel forwards",
            inverse="restart with the userland proxy on, under the same rules",
            disruption=Disruption(
                level="restart",
                seconds=1.2,
                what="connections through docker-proxy end; clients that reconnect are served",
            ),
            path=DAEMON_JSON,
            target=False,
            content=file(HELD),
            back_content=file(ORIGINAL),
            original=file(ORIGINAL),
            ruleset=RULES,
            firewall_backend="nftables",
            leftovers=(),
            sysctls_before={},
            containers=(),
            live_restore=True,
        ),
        ReleaseLiveRestore(
            id="6-release",
            summary="Switch live-restore off again",
            reason="remedy.yaml does not ask for it",
            before="on",
            after="off (checked by docker info)",
            inverse="switch it on again",
            path=DAEMON_JSON,
            release_content=file(RELEASED),
            final=file(FINAL),
            hold_content=file(HELD),
            effective_after=False,
        ),
        RemoveRules(
            id="7-rules",
            summary="Remove the redirects",
            reason="the engine's own rules are in place",
            before="table inet remedy",
            after="none",
            inverse="write it again",
            ruleset=RULES,
            firewall_backend="nftables",
        ),
    )


def paths() -> tuple[PathChange, ...]:
    gateway = "172.17.0.1"
    return (
        PathChange(
            **{"from": "dev1-haproxy-1"},
            to=f"{gateway}:5001",
            container="dev1-api-1",
            before="docker-proxy",
            after="dnat",
            source_before=gateway,
            source_after="172.17.0.5",
        ),
        PathChange(
            **{"from": "host"}, to="127.0.0.1:5001", container="dev1-api-1", before="docker-proxy", after="dnat"
        ),
        PathChange(**{"from": "external"}, to="10.98.0.10:5001", container="dev1-api-1", before="dnat", after="dnat"),
    )


def plan(**changed: object) -> Plan:
    """A plan that takes the userland proxy off; keyword arguments replace what they name."""
    described: dict[str, object] = {
        "remedy_version": "0.1.0",
        "created_at": WHEN,
        "host": PlanHost(
            hostname="web1",
            machine_id="0" * 32,
            engine_version="28.5.2",
            firewall_backend="iptables-nft",
            userland_proxy=True,
            containers=4,
            docker_proxy_processes=6,
        ),
        "changes": True,
        "actions": switch_off_actions(),
        "paths": paths(),
        "refusals": (),
        "warnings": (PlanWarning(code="firewalld", what="firewalld is active", detail="a reload of it drops rules"),),
        "probes": (ProbePlan(**{"from": "dev1-haproxy-1"}, to="172.17.0.1:5001"),),
        "confirm_within_seconds": 60,
        "socket": "unix:///var/run/docker.sock",
        "daemon_json_path": DAEMON_JSON,
        "spec_digest": "5" * 64,
        "basis": {},
        "fingerprint": "f" * 64,
    }
    return Plan.model_validate(described | changed)


def nothing_to_do() -> Plan:
    return plan(changes=False, actions=(), paths=(), warnings=(), probes=())


def refused() -> Plan:
    lost = PathChange(**{"from": "host"}, to="[::1]:5001", container="dev1-api-1", before="docker-proxy", after="none")
    return plan(
        paths=(*paths(), lost),
        refusals=(
            Refusal(
                code="consumer-lost",
                what="host -> [::1]:5001 would be cut off",
                why="the kernel does not redirect ::1; curl (pid 812) holds 2 connections to it now",
                cure="let it use 127.0.0.1:5001",
                accepted_by='accept: [{from: "host", to: "[::1]:5001"}]',
            ),
        ),
    )


def stops_containers() -> Plan:
    """A plan with two containers that stop."""
    actions = [
        action.model_copy(update={"disruption": Disruption(level="restart", containers=("db", "cache"), seconds=12.4)})
        if action.kind == "userland_proxy"
        else action
        for action in switch_off_actions()
        if action.kind in ("sysctl", "userland_proxy")
    ]
    return plan(actions=tuple(actions), warnings=(), confirm_within_seconds=None)


def hostile() -> Plan:
    """A host whose every text tries to take the terminal over."""
    evil = "x\x1b[2J\x1b]0;owned\x07\r\n[bold red]hi[/] \u202egnp.exe\u2066 \x9b31m"
    host = plan().host.model_copy(update={"hostname": evil})
    action = switch_off_actions()[0].model_copy(
        update={"summary": evil, "reason": evil, "before": evil, "inverse": evil}
    )
    return plan(
        host=host,
        actions=(action,),
        paths=(paths()[0].model_copy(update={"from_": evil, "to": evil, "container": evil}),),
        warnings=(PlanWarning(code="x", what=evil, detail=evil),),
        refusals=(Refusal(code="x", what=evil, why=evil, cure=evil, accepted_by=evil),),
    )


def probe(to: str, before: bool | None, after: bool | None, detail: str = "") -> ProbeReport:
    return ProbeReport(
        **{"from": "dev1-haproxy-1"}, to=to, before=before, after=after, after_detail=detail, milliseconds_after=0.4
    )


def run_report(**changed: object) -> RunReport:
    described: dict[str, object] = {
        "run": "20261104-101500-3fa9",
        "command": "apply",
        "result": "applied",
        "exit_code": 0,
        "actions": [
            ActionReport(id=action.id, kind=action.kind, summary=action.summary, state="done", seconds=0.2)
            for action in switch_off_actions()
        ],
        "probes": [probe("172.17.0.1:5001", True, True), probe("172.17.0.1:5002", True, True)],
        "log": "/var/lib/remedy/runs/20261104-101500-3fa9/journal",
    }
    return RunReport.model_validate(described | changed)


def tracked() -> Tracked:
    return Tracked(
        entries=170_000,
        maximum=262_144,
        fill=0.6485,
        bytes=170_000 * 256,
        ended_per_second=1283.3,
        losses=ConntrackLosses(drop=0, early_drop=3, insert_failed=17),
        origins=(
            Origin(kind="published", what="port 5001/tcp (dev1-api-1)", entries=90_000),
            Origin(kind="proxied", what="docker-proxy -> dev1-api-1:8080/tcp", entries=79_000),
            *(Origin(kind="pair", what=f"dev1-haproxy-1 -> api-{n}\x1b:8080/tcp", entries=100) for n in range(8)),
            Origin(kind="other", what="everything else", entries=200),
        ),
        is_complete=False,
    )


def status_report(**changed: object) -> StatusReport:
    described: dict[str, object] = {
        "state": "applied",
        "run": "20261104-101500-3fa9",
        "since": WHEN,
        "deadline": None,
        "drift": (),
        "docker_proxy_processes": 0,
        "docker_proxy_connections": 0,
        "userland_proxy": False,
        "engine_version": "28.5.2",
        "conntrack": tracked(),
    }
    return StatusReport.model_validate(described | changed)


def drift() -> Drift:
    return Drift(
        what="daemon.json was changed",
        where=f"{DAEMON_JSON}:userland-proxy",
        expected="false",
        found="true",
        next_step="remedy plan shows what puts it back",
    )


def history_report() -> HistoryReport:
    return HistoryReport(
        runs=(
            HistoryEntry(
                run="20261104-103000-77aa",
                command="rollback",
                started=datetime(2026, 11, 4, 10, 30, tzinfo=UTC),
                ended=datetime(2026, 11, 4, 10, 30, 4, tzinfo=UTC),
                result="rolled-back",
                actions=7,
                summary="undid 20261104-101500-3fa9",
            ),
            HistoryEntry(
                run="20261104-101500-3fa9",
                command="apply",
                started=WHEN,
                ended=datetime(2026, 11, 4, 10, 15, 6, tzinfo=UTC),
                result="applied",
                actions=7,
                summary="userland proxy off",
                rolled_back_by="20261104-103000-77aa",
            ),
        )
    )
