"""`remedy init` proposes what the planner lets through, says why, and writes what can be read again."""

from __future__ import annotations

from collections.abc import Callable

import spec_facts
from hypothesis import given
from hypothesis import strategies as st

from remedy.facts.model import ConntrackFacts, ConntrackLosses, HostFacts
from remedy.host.conntrack_settings import TIME_WAIT
from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.discovery import SeenPath
from remedy.spec.judgement import Judgement, Objection
from remedy.spec.load import parse_spec
from remedy.spec.models import Backend, Spec, UnitRef
from remedy.spec.proposal import Proposal, propose
from remedy.spec.render import quoted, render_yaml

LOST = Objection(
    what="host would no longer reach api-1 at [::1]:5001",
    why="the kernel does not redirect ::1",
    cure="use 127.0.0.1",
    accepted_by='accept: [{from: "host", to: "[::1]:5001"}]',
)
GATEWAY = "172.17.0.1"


def operator() -> HostFacts:
    backends = [spec_facts.container(f"api-{n}", spec_facts.binding(5000 + n, 8080), service="api") for n in (1, 2, 3)]
    servers = [(GATEWAY, 5000 + n) for n in (1, 2, 3)]
    balancer = spec_facts.container("lb", spec_facts.binding(443, 443), service="haproxy")
    return spec_facts.host(balancer, *backends, haproxies=(spec_facts.haproxy("lb", *servers),))


def paths(after: str, from_: str = "lb") -> tuple[SeenPath, ...]:
    return tuple(SeenPath(from_, f"{GATEWAY}:500{n}", f"api-{n}", "docker-proxy", after) for n in (1, 2, 3))


def judge(
    *,
    proxy: Judgement,
    hairpin: Judgement | None = None,
    seen: tuple[SeenPath, ...] = (),
    in_place: bool = False,
    network: Judgement | None = None,
    watch: Judgement | None = None,
) -> Callable[[Spec], Judgement]:
    """A planner that answers by the remedy that is asked for."""

    def answer(spec: Spec) -> Judgement:
        if spec.watch and watch is not None:
            return watch
        if spec.remedies.user_network is not None:
            return network or Judgement(False, is_useful=False)
        if spec.remedies.userland_proxy is False:
            return proxy
        if spec.remedies.hairpin is True:
            return hairpin or Judgement(False)
        if spec.remedies.hairpin is False:
            return Judgement(in_place)
        return Judgement(False, paths=seen)

    return answer


def written(proposal: Proposal) -> str:
    """The file, once it is sure that it says what was proposed."""
    text = render_yaml(proposal)
    assert parse_spec(text, "remedy.yaml") == proposal.spec
    assert all(line == line.rstrip() for line in text.splitlines())
    return text


def test_the_userland_proxy_goes_where_nobody_is_lost() -> None:
    proposal = propose(operator(), judge(proxy=Judgement(True, paths=paths("dnat")), seen=paths("docker-proxy")))
    text = written(proposal)
    assert proposal.spec.remedies.userland_proxy is False
    assert proposal.spec.policy.restart_engine is True
    assert proposal.spec.policy.confirm_within is None
    assert proposal.spec.load_balancer == "lb"
    assert proposal.spec.backends == (Backend(containers=("api-1", "api-2", "api-3"), port=8080),)
    assert [(p.from_, p.to) for p in proposal.spec.probes] == [("lb", f"{GATEWAY}:500{n}") for n in (1, 2, 3)]
    assert "\n  userland_proxy: false\n" in text
    assert "\n  # hairpin: true\n" in text
    assert "live-restore is switched on for that time" in text


def test_hairpin_goes_where_the_engine_must_not_be_restarted() -> None:
    swarm = Objection("this engine is part of a swarm", "live-restore does not work there", "leave it out")
    proposal = propose(
        operator(),
        judge(
            proxy=Judgement(True, (swarm,)), hairpin=Judgement(True, paths=paths("dnat")), seen=paths("docker-proxy")
        ),
    )
    text = written(proposal)
    assert proposal.spec.remedies.userland_proxy is None
    assert proposal.spec.remedies.hairpin is True
    assert proposal.spec.watch is True
    assert "# Left out: this engine is part of a swarm: live-restore does not work there." in text
    assert "\n  # userland_proxy: false\n" in text
    assert "\n# hairpin's rules name container addresses; the watcher" in text
    assert "\nwatch: true\n" in text
    assert "accept_pinned" not in text.partition("remedies:")[0] + text.partition("policy:")[2]


def test_where_no_watcher_can_be_had_pinned_rules_are_accepted_and_it_is_said() -> None:
    no_systemd = Judgement(False, (Objection("watch: true needs systemd", "it is a service", "leave it out"),))
    swarm = Objection("this engine is part of a swarm", "live-restore does not work there", "leave it out")
    hairpin = Judgement(True, paths=paths("dnat"))
    seen = paths("docker-proxy")
    proposal = propose(operator(), judge(proxy=Judgement(True, (swarm,)), hairpin=hairpin, seen=seen, watch=no_systemd))
    text = written(proposal)
    assert proposal.spec.remedies.hairpin is True
    assert proposal.spec.watch is None
    assert "\n  accept_pinned: true\n" in text
    assert "apply again after a backend was made anew" in " ".join(text.replace("#", "").split())


def test_who_is_of_no_compose_project_is_kept_on_the_network_by_the_watcher() -> None:
    by_hand = spec_facts.container("api-1", spec_facts.binding(5001, 8080))
    composed = operator()
    others = tuple(container for container in composed.containers if container.name != "api-1")
    facts = composed.model_copy(update={"containers": (*others, by_hand)})
    off = Judgement(True, paths=paths("direct"))
    for host, wanted in ((facts, True), (composed, None)):
        proposal = propose(host, judge(proxy=off, network=off, seen=paths("docker-proxy")))
        assert proposal.spec.remedies.user_network == "remedy-lb"
        assert proposal.spec.watch is wanted
        assert ("Made again, api-1 would be without the network" in written(proposal)) is bool(wanted)


def test_neither_goes_where_neither_helps_and_the_file_says_why() -> None:
    proposal = propose(
        operator(),
        judge(
            proxy=Judgement(True, (LOST,)),
            hairpin=Judgement(True, paths=paths("docker-proxy")),
            seen=paths("docker-proxy"),
        ),
    )
    text = written(proposal)
    assert proposal.spec.remedies.model_dump(exclude_none=True) == {}
    assert "lb comes from another network, where rules cannot lead around docker-proxy" in text
    assert '\n# accept:\n#   - {from: "host", to: "[::1]:5001"}\n' in text


def test_hairpin_that_is_refused_is_left_out_with_the_reason() -> None:
    refused = Judgement(True, (Objection("the engine is rootless", "not ours", "none"),))
    proposal = propose(operator(), judge(proxy=refused, hairpin=refused, seen=paths("docker-proxy")))
    assert proposal.spec.remedies.hairpin is None
    assert written(proposal).count("the engine is rootless") == 1  # said once for both


def test_hairpin_that_is_in_place_stays() -> None:
    proposal = propose(
        operator(), judge(proxy=Judgement(True, (LOST,)), hairpin=Judgement(False), seen=paths("dnat"), in_place=True)
    )
    assert proposal.spec.remedies.hairpin is True
    written(proposal)


def test_a_host_without_the_proxy_keeps_it_off() -> None:
    text = written(propose(operator(), judge(proxy=Judgement(False), seen=paths("dnat"))))
    assert "The engine runs without it already" in text


def test_a_haproxy_of_the_host_is_named_by_its_unit() -> None:
    facts = operator()
    unit = spec_facts.haproxy(None, ("127.0.0.1", 5001), ("localhost", 5002), unit="haproxy.service")
    facts = facts.model_copy(update={"haproxies": (unit,)})
    seen = (
        SeenPath("host", "127.0.0.1:5001", "api-1", "docker-proxy", "docker-proxy"),
        SeenPath("host", "127.0.0.1:5002", "api-2", "docker-proxy", "docker-proxy"),
        SeenPath("host", "127.0.0.1:5003", "api-3", "docker-proxy", "docker-proxy"),  # somebody's curl
    )
    proposal = propose(facts, judge(proxy=Judgement(True), seen=seen))
    written(proposal)
    assert proposal.spec.load_balancer == UnitRef(unit="haproxy.service")
    assert proposal.spec.backends == (Backend(containers=("api-1", "api-2"), port=8080),)
    assert {p.from_ for p in proposal.spec.probes} == {"host"}


def test_of_several_haproxies_the_busiest_is_taken_and_the_others_are_named() -> None:
    facts = operator()
    other = spec_facts.container("idle-lb")
    facts = facts.model_copy(
        update={
            "containers": (other, *facts.containers),
            "haproxies": (spec_facts.haproxy("idle-lb"), *facts.haproxies),
        }
    )
    proposal = propose(facts, judge(proxy=Judgement(True), seen=paths("docker-proxy")))
    assert proposal.spec.load_balancer == "lb"
    assert "idle-lb" in written(proposal)


def test_without_a_haproxy_all_that_is_published_is_grouped_by_service() -> None:
    facts = spec_facts.host(
        spec_facts.container(
            "api-1", spec_facts.binding(5001, 8080), spec_facts.binding(5001, 8080, "::"), service="api"
        ),
        spec_facts.container("api-2", spec_facts.binding(5002, 8080), service="api"),
        spec_facts.container("dns", spec_facts.binding(53, 53, protocol="udp")),
        spec_facts.container("db"),
    )
    proposal = propose(facts, judge(proxy=Judgement(True)))
    text = written(proposal)
    assert proposal.spec.load_balancer is None
    assert proposal.spec.probes == ()
    assert proposal.spec.backends == (
        Backend(project="dev1", service="api", port=8080),
        Backend(containers=("dns",), port=53, protocol="udp"),
    )
    assert "# No haproxy was found on this host." in text


def test_a_host_that_publishes_nothing_gets_a_file_too() -> None:
    proposal = propose(spec_facts.host(), judge(proxy=Judgement(True, (LOST,))))
    assert "No running container publishes a port" in written(proposal)


def test_many_reasons_are_cut_and_counted() -> None:
    text = written(propose(operator(), judge(proxy=Judgement(True, (LOST,) * 30), seen=paths("docker-proxy"))))
    assert "... and 22 more reasons" in text


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip).filter(bool)


@given(names)
def test_any_name_is_quoted_so_that_it_reads_the_same(name: str) -> None:
    spec = parse_spec(f"version: 1\nbackends: [{{containers: [{quoted(name)}], port: 1}}]\n", "x")
    assert spec.backends[0].containers == (name.strip(),)
    assert "\n" not in quoted(name)


@given(names, st.text(), st.text())
def test_whatever_the_host_is_called_the_file_says_what_was_proposed(name: str, reason: str, label: str) -> None:
    facts = spec_facts.host(
        spec_facts.container(name, spec_facts.binding(80, 80), service=label or None),
        haproxies=(spec_facts.haproxy(name),),
    )
    facts = facts.model_copy(update={"host": facts.host.model_copy(update={"hostname": reason})})
    objection = Objection(reason, reason, reason, reason)
    proposal = propose(facts, judge(proxy=Judgement(True, (objection,))))
    assert parse_spec(render_yaml(proposal), "x") == proposal.spec


def table(count: int, drop: int = 0) -> HostFacts:
    known = ConntrackFacts(
        count=count, maximum=262_144, buckets=262_144, entries=(), entries_complete=True, time_wait=count * 9 // 10,
        losses=ConntrackLosses(drop=drop, early_drop=0, insert_failed=0),
    )  # fmt: skip
    return operator().model_copy(update={"conntrack": known, "sysctls": {TIME_WAIT: "120"}})


def comments(proposal: Proposal) -> str:
    """The text without its line breaks: a comment is wrapped anywhere."""
    return " ".join(render_yaml(proposal).replace("#", "").split())


def test_a_table_that_fills_up_is_sized_for_the_rate_of_today() -> None:
    agreed = judge(proxy=Judgement(True))
    proposal = propose(table(170_000), agreed)
    assert parse_spec(render_yaml(proposal), "remedy.yaml") == proposal.spec
    assert proposal.spec.remedies.conntrack == ConntrackOptions(connection_rate=1300)
    assert proposal.spec.remedies.userland_proxy is False
    assert "the conntrack table holds 170000 of 262144 connections" in comments(proposal)
    assert propose(table(100_000, drop=7), agreed).spec.remedies.conntrack == ConntrackOptions(connection_rate=750)


def test_a_table_with_room_or_that_cannot_be_sized_is_a_comment() -> None:
    roomy = propose(table(1_000), judge(proxy=Judgement(True)))
    assert roomy.spec.remedies.conntrack is None
    assert "# conntrack: {connection_rate: 8}" in render_yaml(roomy)
    assert "Not needed: the conntrack table holds 1000 of 262144" in comments(roomy)

    def refusing(spec: Spec) -> Judgement:
        is_sized = spec.remedies.conntrack is not None
        return Judgement(True, (LOST,)) if is_sized else Judgement(True)

    assert propose(table(170_000), refusing).spec.remedies.conntrack is None
    unread = propose(operator(), judge(proxy=Judgement(True)))
    assert "how full the conntrack table is could not be read" in comments(unread)
