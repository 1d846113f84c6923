"""FORWARD on iptables-nft: made by iptables-nft-restore, looked at and reordered over netlink.

Only iptables-nft writes rules into its table: one in native nft expressions there breaks iptables for everybody.
"""

from __future__ import annotations

from remedy.firewall.forward_guard import HOOK, is_ahead, place
from remedy.firewall.iptables_rules import Family, OwnChain
from remedy.firewall.iptables_save import parse
from remedy.firewall.iptables_variant import read_chain, read_saved, restore
from remedy.firewall.nft_chain import NftChain

_TABLE = "filter"


class NftForward:
    """See Forward."""

    def __init__(self, family: Family) -> None:
        self.family: Family = family
        self._forward = NftChain(family, _TABLE, HOOK)

    def exists(self) -> bool:
        """One netlink request."""
        return self._forward.exists()

    def targets(self) -> tuple[str, ...]:
        """One netlink dump of the one chain."""
        return tuple(rule.target for rule in self._forward.rules())

    def write(self, chain: OwnChain) -> None:
        """One transaction of iptables-nft-restore, if it does not stand so already.

        A chain that is declared is emptied, with --noflush too. A jump is deleted in the form that it has: an earlier
        version's has another.
        """
        targets = self.targets()
        jumps = self._texts(HOOK, to=chain.name) if chain.name in targets else []
        if jumps == [chain.jump.text] and is_ahead(targets, chain.name) and self._has(chain):
            return
        jump = chain.jump.text.removeprefix(f"-A {HOOK} ")
        self._restore(
            [
                f":{chain.name} - [0:0]",
                *(rule.text for rule in chain.rules),
                *(text.replace("-A ", "-D ", 1) for text in jumps),
                f"-I {HOOK} {place(targets, chain.name) + 1} {jump}",
            ]
        )

    def move(self, chain: OwnChain) -> None:
        """One transaction over netlink, by the rules' handles: what the engine inserts meanwhile shifts nothing."""
        rules = self._forward.rules()
        jumps = [rule for rule in rules if rule.target == chain.name]
        others = [rule for rule in rules if rule.target != chain.name]
        index = place([rule.target for rule in rules], chain.name)
        if jumps:
            self._forward.move(jumps, others[index] if index < len(others) else None)

    def remove(self, chain: str) -> None:
        """One transaction, if there is anything to delete: a netlink request tells, where reading takes a program."""
        if not NftChain(self.family, _TABLE, chain).exists():
            return
        table = parse(read_saved(self.family, "nft")).table(_TABLE)
        if table is None or chain not in {found.name for found in table.chains}:
            return
        jumps = [rule for rule in table.rules if rule.target == chain]
        deletions = [rule.specification.replace("-A ", "-D ", 1) for rule in jumps]
        self._restore([*deletions, f"-F {chain}", f"-X {chain}"])

    def _has(self, chain: OwnChain) -> bool:
        return self._texts(chain.name) == [rule.text for rule in chain.rules]

    def _texts(self, chain: str, to: str | None = None) -> list[str]:
        rules = read_chain(self.family, _TABLE, chain)
        return [rule.specification for rule in rules if to is None or rule.target == to]

    def _restore(self, lines: list[str]) -> None:
        restore(self.family, "\n".join([f"*{_TABLE}", *lines, "COMMIT", ""]))
