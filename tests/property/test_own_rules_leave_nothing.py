"""Writing remedy's own rules and removing them again gives every connection of recorded hosts the same verdict."""

from __future__ import annotations

import pytest
from captured import NAMES, facts, files

from remedy.captures.answers import Answerer, with_bridge_nf
from remedy.captures.questions import BridgeNf, Outcome, read_questions
from remedy.facts.model import FirewallBackend, HostFacts
from remedy.paths.hypothesis import with_ruleset, without_ruleset
from remedy.paths.published import published_ports
from remedy.paths.walk import Datapath
from remedy.plan.redirects import bridging_ruleset

EVERY = 9  # of the recorded connections, one in so many
BACKENDS = (FirewallBackend.IPTABLES_NFT, FirewallBackend.IPTABLES_LEGACY)


def verdicts(name: str, host: HostFacts) -> list[Outcome]:
    questionnaire = read_questions(files(name))
    walks = {setting: Datapath(with_bridge_nf(host, setting)) for setting in BridgeNf}
    answerer = Answerer(walks, questionnaire.external)
    return [answerer.answer(question) for cell in questionnaire.cells[::EVERY] for question in cell.questions]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [name for name in NAMES if "proxy-on" in name and "nftables" not in name])
def test_own_rules_that_came_and_went_change_no_verdict(name: str, backend: FirewallBackend) -> None:
    known = facts(name)
    before = known.model_copy(update={"firewall": known.firewall.model_copy(update={"backend": backend})})
    ruleset = bridging_ruleset(before, published_ports(before))
    during = with_ruleset(before, ruleset)

    assert during.firewall != before.firewall
    assert verdicts(name, without_ruleset(during, ruleset.name)) == verdicts(name, before)
