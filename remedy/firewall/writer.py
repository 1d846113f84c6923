"""The one interface behind which both firewalls hide."""

from __future__ import annotations

from typing import Protocol

from remedy.facts.model import FirewallBackend, FirewallFacts
from remedy.firewall.ruleset import Ruleset, RulesetName


class RulesWriter(Protocol):
    """Writes, removes and compares remedy's own rules; never touches another rule.

    write and remove are idempotent, and each is one transaction per table: at no moment is half of a table there.
    """

    def write(self, ruleset: Ruleset) -> None:
        """Make the host's rules of that name exactly those of the ruleset.

        Raises RefusedError (a name that cannot be written), CommandError, MissingToolError, MissingExtraError.
        """

    def remove(self, name: RulesetName) -> None:
        """Delete every rule, chain and table of that ruleset, present or not."""

    def read_differences(self, ruleset: Ruleset) -> tuple[str, ...]:
        """What on the host differs from the ruleset, read now; empty when it is exactly present."""

    def differences(self, ruleset: Ruleset, facts: FirewallFacts) -> tuple[str, ...]:
        """The same, from facts that were read before."""

    def present_names(self, facts: FirewallFacts) -> tuple[RulesetName, ...]:
        """The rulesets of which anything is there, to find left-overs."""


def select_writer(backend: FirewallBackend) -> RulesWriter:
    """The writer for the firewall that the engine uses.

    On an iptables-nft host our rules stand in nft tables of their own beside the engine's: the kernel runs both.
    """
    if backend is FirewallBackend.IPTABLES_LEGACY:
        from remedy.firewall.iptables_legacy_writer import LegacyWriter

        return LegacyWriter()
    from remedy.firewall.nftables_writer import NftablesWriter

    return NftablesWriter(backend)
