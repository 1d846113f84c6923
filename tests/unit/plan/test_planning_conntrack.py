"""The conntrack remedy: the sums, what is refused, and that a plan after the plan is empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from remedy.facts.model import ConntrackFacts, ConntrackSizing, HostFacts, KeptFile, SettingLine, Unread
from remedy.host.conntrack_settings import (
    BUCKETS,
    ESTABLISHED,
    HASH_SIZE,
    MAXIMUM,
    MODULE_FILE,
    OPTIONS_FILE,
    OWN_FILES,
    SYSCTL_FILE,
    TIME_WAIT,
)
from remedy.plan.actions import SizeConntrack
from remedy.plan.foresight import facts_after
from remedy.plan.model import Plan

Planner = Callable[..., Plan]
MACHINE = (MAXIMUM, BUCKETS, TIME_WAIT, ESTABLISHED, HASH_SIZE)
NAMESPACE = (TIME_WAIT, ESTABLISHED)


@pytest.fixture
def host(facts_of: Callable[[str], HostFacts]) -> Callable[..., HostFacts]:
    """A host of 4 GiB with the kernel's defaults; its own machine unless `writable` says otherwise."""
    base = facts_of("operator-28.5")

    def make(
        *,
        writable: tuple[str, ...] = MACHINE,
        count: int | None = 1000,
        maximum: int = 262_144,
        buckets: int = 262_144,
        time_wait: int = 120,
        **sizing: Any,
    ) -> HostFacts:
        own = tuple(KeptFile(path=path, raw=None) for path in OWN_FILES)
        values = {"bytes_per_entry": 256, "bucket_step": 512, "memory_bytes": 4 << 30, "own_files": own, **sizing}
        known = ConntrackSizing(writable=writable, **values)
        conntrack = ConntrackFacts(
            count=count, maximum=maximum, buckets=buckets, entries=(), entries_complete=True, sizing=known
        )
        sysctls = {MAXIMUM: str(maximum), BUCKETS: str(buckets), TIME_WAIT: str(time_wait), ESTABLISHED: "432000"}
        return base.model_copy(update={"conntrack": conntrack, "sysctls": {**base.sysctls, **sysctls}})

    return make


@pytest.fixture
def sized(plan_for: Planner) -> Planner:
    return lambda facts, **options: plan_for(facts, remedies={"conntrack": options})


def only(plan: Plan) -> SizeConntrack:
    assert plan.refusals == ()
    (action,) = plan.actions
    assert isinstance(action, SizeConntrack)
    return action


def codes(plan: Plan) -> list[str]:
    return [refusal.code for refusal in plan.refusals]


# --- by intent -------------------------------------------------------------------------------------------------------


def test_a_rate_gives_room_for_twice_what_it_leaves_behind(host: Any, sized: Planner) -> None:
    action = only(sized(host(), connection_rate=2000))
    # 2 x 2000/s x 120 s = 480,000, in whole pages of 512 buckets.
    assert action.values == {BUCKETS: "480256", MAXIMUM: "480256"}
    assert action.previous == {BUCKETS: "262144", MAXIMUM: "262144"}
    assert action.arithmetic == (
        "2000 connections/s x 120 s (time_wait) = 240000 entries; x 2 for bursts = 480000",
        "full: 480256 entries x 256 bytes + 480256 buckets x 8 bytes = 121 MiB",
    )
    assert list(action.values) == [BUCKETS, MAXIMUM], "buckets before those who fill them"


def test_where_memory_is_short_closed_connections_are_forgotten_sooner(host: Any, sized: Planner) -> None:
    action = only(sized(host(), connection_rate=2000, memory="64MiB"))
    # 64 MiB / 264 = 254,200 -> 253,952; / (2 x 2000) = 63 s.
    assert action.values == {TIME_WAIT: "63", MAXIMUM: "253952"}
    assert "64 MiB / (256 bytes an entry + 8 a bucket) = 253952 entries" in action.arithmetic
    assert "64MiB has room for 253952, so a closed connection keeps its entry for 63 s" in action.arithmetic


def test_memory_alone_is_filled(host: Any, sized: Planner) -> None:
    assert only(sized(host(), memory="1GiB")).values[MAXIMUM] == "4066816"


def test_a_table_that_is_large_enough_is_only_kept(host: Any, sized: Planner) -> None:
    action = only(sized(host(maximum=1_000_000, buckets=1_000_448), connection_rate=2000))
    assert action.values == {}
    assert f"{MAXIMUM} = 1000000" in (action.files[0].raw or b"").decode()


def test_without_room_for_ten_seconds_it_is_refused_with_what_it_takes(host: Any, sized: Planner) -> None:
    plan = sized(host(), connection_rate=20_000, memory="64MiB")
    assert codes(plan) == ["conntrack-too-small"]
    assert "400000 entries with a time_wait of 10 s" in plan.refusals[0].what
    assert "memory: 102MiB" in plan.refusals[0].cure
    assert sized(host(), connection_rate=20_000, memory="102MiB").refusals == ()


def test_an_explicit_timeout_is_not_shortened(host: Any, sized: Planner) -> None:
    plan = sized(host(), connection_rate=2000, memory="64MiB", tcp_timeout_time_wait="120s")
    assert codes(plan) == ["conntrack-too-small"]
    assert "a shorter tcp_timeout_time_wait" in plan.refusals[0].cure


@pytest.mark.parametrize("memory", ["1KiB", "200KiB"])
def test_no_memory_is_no_table(host: Any, sized: Planner, memory: str) -> None:
    """nf_conntrack_max 0 would mean: without bounds."""
    assert codes(sized(host(), memory=memory)) == ["conntrack-too-small"]


@pytest.mark.parametrize(
    "options",
    [
        {"connection_rate": 2000},
        {"connection_rate": 2000, "memory": "64MiB"},
        {"connection_rate": 100, "memory": "32MiB"},
        {"connection_rate": 500, "tcp_timeout_time_wait": "30s", "tcp_timeout_established": "24h"},
        {"memory": "128MiB"},
        {"max": 524_288},
        {"max": 524_288, "buckets": 500_000, "tcp_timeout_time_wait": "30s"},
        {"tcp_timeout_established": "24h"},
    ],
    ids=str,
)
@pytest.mark.parametrize("before", [{}, {"maximum": 65536, "buckets": 16384}, {"time_wait": 30}, {"time_wait": 300}])
def test_after_the_plan_there_is_nothing_to_do(
    host: Any, sized: Planner, options: dict[str, Any], before: dict[str, int]
) -> None:
    facts = host(**before)
    action = only(sized(facts, **options))
    assert sized(facts_after(facts, [action]), **options).actions == ()


def test_what_remedy_shortened_is_longer_again_with_more_memory_and_put_back_when_changed(
    host: Any, sized: Planner
) -> None:
    short = {"connection_rate": 2000, "memory": "64MiB"}
    facts = facts_after(host(), [only(sized(host(), **short))])
    assert only(sized(facts, connection_rate=2000, memory="256MiB")).values[TIME_WAIT] == "120"
    drifted = facts.model_copy(update={"sysctls": {**facts.sysctls, TIME_WAIT: "90"}})
    assert only(sized(drifted, **short)).values == {TIME_WAIT: "63"}


# --- by numbers ------------------------------------------------------------------------------------------------------


def test_numbers_are_written_as_they_are_said_and_buckets_as_the_kernel_rounds_them(host: Any, sized: Planner) -> None:
    action = only(
        sized(host(), max=524_288, buckets=300_000, tcp_timeout_time_wait="30s", tcp_timeout_established="1h")
    )
    assert action.values == {TIME_WAIT: "30", ESTABLISHED: "3600", BUCKETS: "300032", MAXIMUM: "524288"}
    text = (action.files[0].raw or b"").decode()
    assert action.files[0].path == SYSCTL_FILE
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        f"{TIME_WAIT} = 30",
        f"{ESTABLISHED} = 3600",
        f"{BUCKETS} = 300032",
        f"{MAXIMUM} = 524288",
    ]
    assert [file.path for file in action.files] == [SYSCTL_FILE, MODULE_FILE]
    assert all(file.raw is None for file in action.original_files)


def test_less_than_is_in_use_is_refused(host: Any, sized: Planner) -> None:
    plan = sized(host(count=200_000), max=199_999)
    assert codes(plan) == ["conntrack-in-use"]
    assert "200000 are in it now" in plan.refusals[0].what
    assert sized(host(count=200_000), max=200_000).refusals == ()
    assert codes(sized(host(count=200_000), memory="32MiB")) == ["conntrack-in-use"]


def test_more_than_the_machine_has_is_refused_and_much_of_it_is_told(host: Any, sized: Planner) -> None:
    assert codes(sized(host(), max=2**31 - 1)) == ["conntrack-memory"]
    assert [w.code for w in sized(host(), max=5_000_000, buckets=5_000_000).warnings] == ["conntrack-memory"]


def test_long_chains_and_short_memories_of_connections_are_told(host: Any, sized: Planner) -> None:
    assert [w.code for w in sized(host(buckets=16384), max=524_288).warnings] == ["conntrack-chains"]
    assert [w.code for w in sized(host(), tcp_timeout_established="2h").warnings] == ["conntrack-established"]
    assert sized(host(), tcp_timeout_established="3h").warnings == ()


def test_who_has_the_last_word_at_boot_is_told(host: Any, sized: Planner) -> None:
    early = SettingLine(name=MAXIMUM, value="1", path="/etc/sysctl.d/50-a.conf", line=1)
    late = SettingLine(name=MAXIMUM, value="1", path="/etc/sysctl.conf", line=7)
    same = SettingLine(name=MAXIMUM, value="524288", path="/etc/sysctl.conf", line=8)
    warnings = sized(host(set_by=(early, late, same)), max=524_288).warnings
    assert [w.what for w in warnings] == [f"/etc/sysctl.conf:7 sets {MAXIMUM} to 1"]


# --- whose setting it is ---------------------------------------------------------------------------------------------


def test_the_machines_settings_are_refused_in_a_namespace_of_it(host: Any, sized: Planner) -> None:
    plan = sized(host(writable=NAMESPACE), max=524_288, tcp_timeout_time_wait="30s")
    assert codes(plan) == ["conntrack-global"]
    assert f"sysctl -w {MAXIMUM}=524288" in plan.refusals[0].cure
    assert sized(host(writable=NAMESPACE), max=262_144, tcp_timeout_time_wait="30s").refusals == ()


def test_in_a_namespace_a_rate_makes_do_with_the_machines_room(host: Any, sized: Planner) -> None:
    facts = host(writable=NAMESPACE)
    plan = sized(facts, connection_rate=2000)
    action = only(plan)
    assert action.values == {TIME_WAIT: "65"}
    assert "the machine's nf_conntrack_max is 262144, so a closed connection keeps its entry for 65 s" in (
        action.arithmetic
    )
    assert [w.code for w in plan.warnings] == ["conntrack-global"]
    assert MAXIMUM not in (action.files[0].raw or b"").decode()
    assert sized(facts_after(facts, [action]), connection_rate=2000).actions == ()


def test_a_rate_beyond_the_machines_room_says_what_the_machine_needs(host: Any, sized: Planner) -> None:
    plan = sized(host(writable=NAMESPACE), connection_rate=20_000)
    assert codes(plan) == ["conntrack-too-small"]
    assert "nf_conntrack_max = 400384, set on the machine itself" in plan.refusals[0].cure


def test_an_old_kernel_takes_its_buckets_as_a_module_parameter(host: Any, sized: Planner) -> None:
    facts = host(writable=(MAXIMUM, TIME_WAIT, ESTABLISHED, HASH_SIZE))
    action = only(sized(facts, max=524_288, buckets=524_288))
    assert action.values == {HASH_SIZE: "524288", MAXIMUM: "524288"}
    assert action.files[-1].path == OPTIONS_FILE
    assert b"options nf_conntrack hashsize=524288\n" in (action.files[-1].raw or b"")
    assert sized(facts_after(facts, [action]), max=524_288, buckets=524_288).actions == ()


def test_a_read_only_proc_is_told(host: Any, sized: Planner) -> None:
    assert codes(sized(host(writable=()), tcp_timeout_time_wait="30s")) == ["conntrack-read-only"]


def test_without_a_table_there_is_nothing_to_size(
    host: Any, sized: Planner, facts_of: Callable[[str], HostFacts]
) -> None:
    facts = host()
    gone = facts.conntrack.model_copy(update={"count": None, "maximum": None, "sizing": None})
    assert codes(sized(facts.model_copy(update={"conntrack": gone}), max=500_000)) == ["conntrack-not-loaded"]
    unread = (Unread(item="conntrack", reason="no permission"),)
    plan = sized(facts.model_copy(update={"conntrack": gone, "unread": unread}), max=500_000)
    assert (codes(plan), plan.refusals[0].why) == (["conntrack-unread"], "no permission")
    assert codes(sized(facts_of("operator-28.5"), max=500_000)) == ["conntrack-unread"]


# --- beside other remedies -------------------------------------------------------------------------------------------


def test_room_comes_first_and_leads_nobody_elsewhere(host: Any, plan_for: Planner) -> None:
    alone = plan_for(host(), remedies={"userland_proxy": False})
    plan = plan_for(host(), remedies={"userland_proxy": False, "conntrack": {"max": 524_288}})
    assert [a.kind for a in plan.actions] == ["conntrack", *(a.kind for a in alone.actions)]
    assert plan.paths == alone.paths
    assert only(plan_for(host(), remedies={"conntrack": {"max": 524_288}})).disruption.level == "none"


def test_a_size_that_somebody_changed_makes_the_plan_stale(host: Any, sized: Planner) -> None:
    first, second = sized(host(), max=524_288), sized(host(maximum=300_000), max=524_288)
    assert first.basis[f"sysctl {MAXIMUM}"] != second.basis[f"sysctl {MAXIMUM}"]
    assert first.fingerprint != second.fingerprint
    busier = sized(host(count=5000), max=524_288)
    assert busier.fingerprint == first.fingerprint, "connections come and go"
