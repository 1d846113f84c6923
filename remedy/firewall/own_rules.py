"""The firewall's facts as they would be with a ruleset of remedy's written or removed. Nothing is written.

What stands there afterwards is what the writers make: iptables chains on a host with iptables-legacy, nft tables
elsewhere; and the accept in FORWARD in iptables' own table on both.
"""

from __future__ import annotations

from remedy.facts.model import FirewallBackend, FirewallFacts, IptablesTables
from remedy.firewall import names
from remedy.firewall.forward_guard import HOOK, can_guard, guard_table, place
from remedy.firewall.iptables_rules import Family, OwnChain, OwnTable
from remedy.firewall.iptables_rules import tables as iptables_tables
from remedy.firewall.iptables_save import Rule
from remedy.firewall.iptables_variant import saved_text
from remedy.firewall.nft_json import table_as_json
from remedy.firewall.nft_tables import tables as nft_tables
from remedy.firewall.ruleset import Ruleset, RulesetName
from remedy.firewall.saved_edit import EditableRules

_FAMILIES: tuple[Family, ...] = (4, 6)
_TABLES = ("raw", "nat", "filter")


def with_ruleset(firewall: FirewallFacts, ruleset: Ruleset) -> FirewallFacts:
    """The rules with this ruleset exactly, whatever stood there of its name.

    Raises RefusedError for an interface name that cannot be written.
    """
    cleared = without_ruleset(firewall, ruleset.name)
    is_legacy = cleared.backend is FirewallBackend.IPTABLES_LEGACY
    wanted = list(iptables_tables(ruleset)) if is_legacy else []
    if can_guard(cleared.backend):
        texts = {family: saved_text(cleared, family, "legacy" if is_legacy else "nft") for family in _FAMILIES}
        wanted += [guard_table(ruleset, family, text) for family, text in texts.items()]
    written = _with_chains(cleared, [table for table in wanted if table.chains])
    if is_legacy:
        return written
    own = {table.title: table_as_json(table) for table in nft_tables(ruleset)}
    return written.model_copy(
        update={"nft_tables": (*written.nft_tables, *own), "nft_json": {**written.nft_json, **own}}
    )


def without_ruleset(firewall: FirewallFacts, name: RulesetName) -> FirewallFacts:
    """The rules without anything of that ruleset, present or not."""
    titles = {f"{family} {names.nft_table(name)}" for family in ("ip", "ip6")}
    return firewall.model_copy(
        update={
            "tables": tuple(_without_chains(saved, names.chain_prefix(name)) for saved in firewall.tables),
            "nft_tables": tuple(title for title in firewall.nft_tables if title not in titles),
            "nft_json": {title: items for title, items in firewall.nft_json.items() if title not in titles},
        }
    )


def _without_chains(saved: IptablesTables, prefix: str) -> IptablesTables:
    if prefix not in saved.text:
        return saved
    rules = EditableRules(saved.text)
    for table in _TABLES:
        for chain in rules.chains(table):
            if chain.startswith(prefix):
                rules.drop(table, chain)
    return saved.model_copy(update={"text": rules.text})


def _with_chains(firewall: FirewallFacts, wanted: list[OwnTable]) -> FirewallFacts:
    saved = list(firewall.tables)
    variant = "legacy" if firewall.backend is FirewallBackend.IPTABLES_LEGACY else "nft"
    for family in _FAMILIES:
        own = [table for table in wanted if table.family == family]
        if not own:
            continue
        known = next((item for item in saved if (item.family, item.variant) == (family, variant)), None)
        rules = EditableRules(known.text if known else "")
        for table in own:
            for chain in table.chains:
                _put(rules, table.name, chain)
        if known is None:
            command = f"{'iptables' if family == 4 else 'ip6tables'}-{variant}-save"
            saved.append(IptablesTables(family=family, variant=variant, command=command, text=rules.text))
        else:
            saved[saved.index(known)] = known.model_copy(update={"text": rules.text})
    return firewall.model_copy(update={"tables": tuple(saved)})


def _put(rules: EditableRules, table: str, chain: OwnChain) -> None:
    """The chain, and its jump where the writer puts it: on top, in FORWARD just before the engine's first rule."""
    rules.put(table, chain.name, [rule.text for rule in chain.rules])
    present = rules.rules(table, chain.jump.chain)
    index = place([_target(table, rule) for rule in present], chain.name) if chain.jump.chain == HOOK else 0
    rules.put(table, chain.jump.chain, [*present[:index], chain.jump.text, *present[index:]])


def _target(table: str, text: str) -> str:
    """Where a rule leads, "" for one without a target."""
    return Rule(table, "", (), text).target or ""
