"""How each known connection travels today and after the plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

from remedy.facts.model import HostFacts
from remedy.firewall.ruleset import Ruleset
from remedy.paths.consumers import Consumer
from remedy.paths.published import PublishedPort
from remedy.paths.reach import Reach, Setting, reach
from remedy.plan.hairpin import has_rules
from remedy.plan.model import PathChange


@dataclass(frozen=True, slots=True)
class Outlook:
    """Today's setting and the plan's, per port: what the paths and the probes are predicted from."""

    today: Setting
    later: Setting
    hairpin: Ruleset | None

    @classmethod
    def of(cls, facts: HostFacts, wants_proxy: bool | None, hairpin: Ruleset | None) -> Outlook:
        """wants_proxy None: it stays as it is; hairpin None: these rules stay as they are."""
        on = facts.engine.userland_proxy is not False
        bridge_nf = facts.sysctls.get("net.bridge.bridge-nf-call-iptables") == "1"
        today = Setting(facts.engine.version_tuple, on, bridge_nf, redirected=has_rules(facts, "hairpin"))
        later = today if wants_proxy is None else today.with_proxy(wants_proxy)
        return cls(today, later, hairpin)

    def today_for(self, port: PublishedPort) -> Setting:
        """The setting today, for one port: rules that are there already serve the ports that they are wanted for."""
        if not self.today.redirected or self.hairpin is None or not self.hairpin.redirects:
            return self.today
        return replace(self.today, redirected=any(r.port == port.port for r in self.hairpin.redirects))

    def later_for(self, port: PublishedPort) -> Setting:
        """The setting after the plan, for one port: the hairpin rules serve some ports and not others."""
        if self.hairpin is None:
            return self.later
        served = [r for r in self.hairpin.redirects if r.to_address == port.to_address and r.port == port.port]
        return replace(self.later, redirected=bool(served), redirected_loopback=any(r.from_loopback for r in served))


def path_change(consumer: Consumer, outlook: Outlook) -> PathChange:
    """One consumer's connection before and after."""
    before = reach(consumer.place, consumer.to.address, consumer.port, outlook.today_for(consumer.port))
    after = reach(consumer.place, consumer.to.address, consumer.port, outlook.later_for(consumer.port))
    return PathChange(
        from_=consumer.name,
        to=str(consumer.to),
        container=consumer.port.container.name,
        before=before.via,
        after=after.via,
        why=after.why,
        source_before=_source(before, consumer),
        source_after=_source(after, consumer),
        known_by=consumer.known_by,
    )


def _source(answer: Reach, consumer: Consumer) -> str | None:
    return {"client": f"{consumer.name}'s own", "gateway": "the gateway", "host": "the host's own"}.get(answer.source)
