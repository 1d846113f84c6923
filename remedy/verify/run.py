"""`remedy verify`: the probes alone."""

from __future__ import annotations

from remedy.apply.model import ProbeReport
from remedy.facts.model import HostFacts
from remedy.paths.consumers import known_consumers
from remedy.paths.published import published_ports
from remedy.plan.probes import known_probes
from remedy.spec.models import Spec
from remedy.verify.probes import probe_all, reports


def verify(facts: HostFacts, spec: Spec) -> tuple[ProbeReport, ...]:
    """Try the spec's probes and every known consumer's connection now."""
    probes = known_probes(spec, known_consumers(facts, spec, published_ports(facts)))
    return reports(probes, {}, probe_all(probes, facts))
