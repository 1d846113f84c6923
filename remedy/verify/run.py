"""`remedy verify`: the probes alone."""

from __future__ import annotations

from remedy.apply.model import ProbeReport
from remedy.facts.model import HostFacts
from remedy.paths.consumers import known_consumers
from remedy.paths.published import published_ports
from remedy.plan.probes import known_probes, merged, named_server_probes
from remedy.spec.models import Spec
from remedy.verify.probes import probe_all, reports
from remedy.verify.untracked import pair_probes


def verify(facts: HostFacts, spec: Spec) -> tuple[ProbeReport, ...]:
    """Try the spec's probes, every known consumer's connection, haproxy's servers by name, untracked pairs, now."""
    known = known_probes(spec, known_consumers(facts, spec, published_ports(facts)))
    probes = merged(known, named_server_probes(facts), pair_probes(facts))
    return reports(probes, {}, probe_all(probes, facts))
