"""The commands that take remedy's rules away without remedy."""

from __future__ import annotations

import pytest
from firewall_samples import bridging, notrack, notrack_ahead

from remedy.facts.model import FirewallBackend
from remedy.firewall.by_hand import removal_commands
from remedy.firewall.ruleset import Ruleset

OLD = '-D FORWARD -m comment --comment "remedy:notrack" -j REMEDY-NOTRACK-FORWARD'
NEW = OLD.replace("-m comment", "-m conntrack --ctstate UNTRACKED -m comment", 1)


def forward_commands(ruleset: Ruleset, backend: FirewallBackend) -> list[str]:
    return [line for line in removal_commands(ruleset, backend) if line.startswith("iptables") and "-FORWARD" in line]


@pytest.mark.parametrize("ruleset", [notrack(), notrack_ahead()], ids=["needed", "for speed"])
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_the_accept_of_untracked_pairs_goes_in_either_form_of_its_jump(ruleset: Ruleset, variant: str) -> None:
    tool = f"iptables-{variant} -w"
    assert forward_commands(ruleset, FirewallBackend(f"iptables-{variant}")) == [
        f"{tool} {NEW} 2>/dev/null || {tool} {OLD}",
        f"{tool} -F REMEDY-NOTRACK-FORWARD",
        f"{tool} -X REMEDY-NOTRACK-FORWARD",
    ]


def test_a_jump_that_has_one_form_only_is_deleted_once() -> None:
    [jump, *_] = forward_commands(bridging(), FirewallBackend.IPTABLES_NFT)
    assert jump == ('iptables-nft -w -D FORWARD -m comment --comment "remedy:bridging" -j REMEDY-BRIDGING-FORWARD')


def test_where_no_accept_can_be_none_is_taken_away() -> None:
    assert forward_commands(notrack_ahead(), FirewallBackend.NFTABLES) == []
