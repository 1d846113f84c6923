"""Where the guard's jump belongs, and the loop that keeps it there."""

from __future__ import annotations

import time

import pytest
from firewall_samples import bridging, redirect

from remedy.errors import CommandError
from remedy.facts.model import FirewallBackend
from remedy.firewall.forward_guard import ForwardGuard, can_guard, forward_guard, is_ahead, place
from remedy.firewall.guard_loop import GuardLoop
from remedy.firewall.iptables_rules import Family, OwnChain

OURS = "REMEDY-BRIDGING-FORWARD"


@pytest.mark.parametrize(
    ("targets", "ahead", "index"),
    [
        ([], False, 0),
        ([OURS], True, 0),
        ([OURS, "DOCKER-USER", "DOCKER-FORWARD"], True, 0),
        (["DOCKER-FORWARD", OURS, "DOCKER-USER"], False, 0),
        (["DROP", "mine", OURS, "DOCKER-USER"], True, 2),
        (["DROP", "mine", "DOCKER-USER"], False, 2),
        ([OURS, "DROP", "DOCKER-USER"], True, 1),
        (["DOCKER-ISOLATION-STAGE-1", "DOCKER-USER", "ACCEPT", "DOCKER", OURS], False, 0),
        (["ACCEPT", "", "mine"], False, 3),
        ([OURS, OURS, "DOCKER-USER"], False, 0),
    ],
)
def test_the_jump_belongs_before_the_engines_first_and_behind_what_stands_there(
    targets: list[str], ahead: bool, index: int
) -> None:
    assert is_ahead(targets, OURS) is ahead
    assert place(targets, OURS) == index


class FakeForward:
    """FORWARD as a list of targets."""

    def __init__(self, family: Family, *targets: str) -> None:
        self.family: Family = family
        self.list = list(targets)
        self.done: list[str] = []

    def exists(self) -> bool:
        return bool(self.list)

    def targets(self) -> tuple[str, ...]:
        return tuple(self.list)

    def write(self, chain: OwnChain) -> None:
        self.done.append(f"write {len(chain.rules)}")
        self.move(chain)

    def move(self, chain: OwnChain) -> None:
        self.done.append("move")
        index = place(self.list, chain.name)
        self.list = [target for target in self.list if target != chain.name]
        self.list.insert(index, chain.name)

    def remove(self, chain: str) -> None:
        self.done.append("remove")
        self.list = [target for target in self.list if target != chain]


def test_the_guard_moves_only_when_the_engine_came_before_it() -> None:
    forward, other = FakeForward(4, "DOCKER-USER"), FakeForward(6)
    guard = ForwardGuard(bridging().model_copy(update={"redirects": (redirect(),)}), [forward, other])
    guard.write()
    assert (forward.list, other.done) == ([OURS, "DOCKER-USER"], ["remove"])
    assert guard.ensure_first() is False
    forward.list.insert(0, "DOCKER-FORWARD")
    assert guard.ensure_first() is True
    assert forward.list == [OURS, "DOCKER-FORWARD", "DOCKER-USER"]
    assert forward.done == ["write 3", "move", "move"]


def test_a_guard_that_was_flushed_away_is_written_again() -> None:
    forward = FakeForward(4, "DOCKER-USER")
    guard = ForwardGuard(bridging(), [forward])
    assert guard.ensure_first() is True
    assert forward.list == [OURS, "DOCKER-USER"]


def test_a_family_without_engine_rules_is_left_alone() -> None:
    forward = FakeForward(4)
    guard = ForwardGuard(bridging(), [forward])
    guard.write()
    assert guard.ensure_first() is False
    assert forward.list == []


def test_with_the_engines_own_nftables_there_is_nothing_to_guard() -> None:
    assert not can_guard(FirewallBackend.NFTABLES)
    guard = forward_guard(FirewallBackend.NFTABLES, bridging())
    guard.write()
    assert guard.ensure_first() is False
    guard.remove()


class FakeGuard:
    def __init__(self) -> None:
        self.looks = 0

    def ensure_first(self) -> bool:
        self.looks += 1
        if self.looks % 3 == 0:
            raise CommandError("FORWARD is in pieces")
        return self.looks % 2 == 0


def test_the_loop_counts_moves_and_lives_through_errors() -> None:
    guard = FakeGuard()
    with GuardLoop(guard, interval=0.0001) as loop:
        while guard.looks < 12:
            time.sleep(0.001)
    count = loop.count
    assert count.looks == guard.looks >= 12
    assert count.errors == guard.looks // 3
    assert 1 <= count.moves < count.looks - count.errors
    assert count.last_error == "FORWARD is in pieces"
    assert loop.stop() == count, "stopping twice changes nothing"


def test_a_loop_that_was_never_started_can_be_stopped() -> None:
    assert GuardLoop(FakeGuard()).stop().looks == 0
