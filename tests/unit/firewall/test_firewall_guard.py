"""Where the guard's jump belongs, and the loop that keeps it there."""

from __future__ import annotations

import time

import pytest
from firewall_samples import bridging, notrack, notrack_ahead, redirect

from remedy.errors import CommandError
from remedy.facts.model import FirewallBackend, FirewallFacts, IptablesTables
from remedy.firewall.forward_guard import (
    ForwardGuard,
    can_guard,
    engine_filters,
    forward_guard,
    is_ahead,
    place,
    stands_behind,
)
from remedy.firewall.forward_nft import NftForward
from remedy.firewall.guard_loop import GuardLoop
from remedy.firewall.iptables_rules import Family, OwnChain, forward_chain
from remedy.firewall.iptables_save import Rule, rules_of
from remedy.firewall.own_rules import with_ruleset
from remedy.firewall.ruleset import Ruleset
from remedy.firewall.writer import select_writer

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


ENGINE = "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"
RESTARTED = "-A FORWARD -j DOCKER-FORWARD\n"


def firewall(backend: FirewallBackend, text: str = ENGINE) -> FirewallFacts:
    variant = "legacy" if backend is FirewallBackend.IPTABLES_LEGACY else "nft"
    saved = (
        IptablesTables(family=4, variant=variant, command="x", text=text),
        IptablesTables(family=6, variant=variant, command="x", text="*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"),
    )
    return FirewallFacts(
        backend=backend, backend_evidence="", iptables_version=None, nft_version=None, nft_tables=(), tables=saved
    )


def restarted(facts: FirewallFacts) -> FirewallFacts:
    """The engine has put its jump in front."""
    texts = [saved.text.replace("-A FORWARD", RESTARTED + "-A FORWARD", 1) for saved in facts.tables[:1]]
    tables = (facts.tables[0].model_copy(update={"text": texts[0]}), *facts.tables[1:])
    return facts.model_copy(update={"tables": tables})


@pytest.mark.parametrize("backend", [FirewallBackend.IPTABLES_LEGACY, FirewallBackend.IPTABLES_NFT])
@pytest.mark.parametrize("ruleset", [notrack(), notrack_ahead()], ids=["needed", "for speed"])
def test_by_the_facts_an_accept_stands_behind_once_the_engine_has_restarted(
    backend: FirewallBackend, ruleset: Ruleset
) -> None:
    there = with_ruleset(firewall(backend), ruleset)
    assert not stands_behind(there, ruleset)
    assert stands_behind(restarted(there), ruleset)
    assert not stands_behind(restarted(firewall(backend)), ruleset), "nothing stands there"
    assert not stands_behind(with_ruleset(restarted(there), ruleset), ruleset)
    without = ruleset.model_copy(update={"forward_guard": False, "accept_ahead": False})
    assert not stands_behind(restarted(there), without)


def test_where_the_engine_has_no_rules_in_iptables_it_accepts_nothing_there() -> None:
    assert engine_filters(firewall(FirewallBackend.IPTABLES_NFT), 4)
    assert not engine_filters(firewall(FirewallBackend.IPTABLES_NFT), 6)
    assert not engine_filters(firewall(FirewallBackend.NFTABLES), 4)
    assert not stands_behind(firewall(FirewallBackend.NFTABLES), notrack_ahead())


def test_an_accept_for_speed_that_is_behind_is_seen_and_moved() -> None:
    forward = FakeForward(4, "DOCKER-USER")
    guard = ForwardGuard(notrack_ahead(), [forward, FakeForward(6)])
    guard.write()
    assert not guard.stands_behind()
    forward.list.insert(0, "DOCKER-FORWARD")
    assert guard.stands_behind()
    guard.write()
    assert forward.list == ["REMEDY-NOTRACK-FORWARD", "DOCKER-FORWARD", "DOCKER-USER"]


def nft_forward(monkeypatch: pytest.MonkeyPatch, *, text: str) -> tuple[NftForward, list[str]]:
    """iptables-nft as it would be with this text, and what it is given to restore."""
    scripts: list[str] = []

    def read_chain(_family: Family, table: str, chain: str) -> tuple[Rule, ...]:
        return rules_of(text, table, chain)

    monkeypatch.setattr("remedy.firewall.forward_nft.read_chain", read_chain)
    monkeypatch.setattr("remedy.firewall.forward_nft.restore", lambda _family, script: scripts.append(script))
    forward = NftForward(4)
    targets = tuple(rule.target or "" for rule in rules_of(text, "filter", "FORWARD"))
    monkeypatch.setattr(forward, "targets", lambda: targets)
    return forward, scripts


def test_on_nft_a_jump_is_deleted_in_the_form_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = forward_chain(notrack_ahead(), 4, has_user_chain=True)
    old = '-A FORWARD -m comment --comment "remedy:notrack" -j REMEDY-NOTRACK-FORWARD'
    text = with_ruleset(firewall(FirewallBackend.IPTABLES_NFT), notrack_ahead()).tables[0].text
    forward, scripts = nft_forward(monkeypatch, text=text.replace(chain.jump.text, old))
    forward.write(chain)
    lines = scripts[0].splitlines()
    assert [line for line in lines if line.startswith("-D")] == [old.replace("-A", "-D", 1)]
    assert chain.jump.text.replace("-A FORWARD", "-I FORWARD 1", 1) in lines


def test_on_nft_nothing_is_written_where_it_stands_as_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs come and go with containers, and what accepts their bridge is the same."""
    chain = forward_chain(notrack_ahead(), 4, has_user_chain=True)
    there = with_ruleset(firewall(FirewallBackend.IPTABLES_NFT), notrack_ahead())
    forward, scripts = nft_forward(monkeypatch, text=there.tables[0].text)
    forward.write(chain)
    assert scripts == []
    forward.write(forward_chain(notrack(), 4, has_user_chain=True))
    forward, later = nft_forward(monkeypatch, text=restarted(there).tables[0].text)
    forward.write(chain)
    assert (len(scripts), len(later)) == (1, 1)


@pytest.mark.parametrize(
    ("ruleset", "order"),
    [
        (notrack(), ["accept", "pairs"]),
        (notrack_ahead(), ["pairs", "accept"]),
        (notrack().model_copy(update={"forward_guard": False}), ["pairs", "no accept"]),
    ],
    ids=["needed", "for speed", "none"],
)
@pytest.mark.parametrize("backend", [FirewallBackend.IPTABLES_LEGACY, FirewallBackend.IPTABLES_NFT])
def test_an_accept_that_is_needed_comes_first_and_one_for_speed_last(
    monkeypatch: pytest.MonkeyPatch, backend: FirewallBackend, ruleset: Ruleset, order: list[str]
) -> None:
    done: list[str] = []

    class Recorded:
        def write(self) -> None:
            done.append("accept")

    legacy = backend is FirewallBackend.IPTABLES_LEGACY
    module = f"remedy.firewall.{'iptables_legacy' if legacy else 'nftables'}_writer"
    monkeypatch.setattr(f"{module}.forward_guard", lambda *_: Recorded())
    monkeypatch.setattr(f"{module}.remove_forward_guard", lambda *_: done.append("no accept"))
    written = f"{module}.{'_replace' if legacy else 'run_command'}"
    monkeypatch.setattr(written, lambda *_, **__: done.append("pairs"))
    select_writer(backend).write(ruleset)
    assert list(dict.fromkeys(done)) == order


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
