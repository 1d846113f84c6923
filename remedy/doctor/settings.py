"""daemon.json against the engine that runs: what the next start would change, or whether there would be one."""

from __future__ import annotations

from collections.abc import Iterator

from remedy.doctor.model import Evidence, Finding
from remedy.doctor.patient import Patient
from remedy.plan.refusals import proxy_is_configured

_WORD = {True: "on", False: "off"}


def settings(patient: Patient) -> Iterator[Finding]:
    """Nothing on a host whose engine was restarted since the last edit."""
    yield from _broken_file(patient)
    yield from _other_proxy(patient)


def _broken_file(patient: Patient) -> Iterator[Finding]:
    known = patient.facts.daemon_json
    if not known.exists or known.problem is None or patient.facts.engine.pid is None:
        return
    yield Finding(
        code="daemon-json-broken",
        severity="high",
        title="the engine would not start again with its daemon.json",
        evidence=(Evidence(what=known.problem, where=known.path),),
        consequence="everything runs until the next restart of the engine or the host, and then Docker stays down",
        remedy=f"correct the file; dockerd --validate --config-file {known.path} judges it (23.0 and later)",
        confidence="seen",
    )


def _other_proxy(patient: Patient) -> Iterator[Finding]:
    facts = patient.facts
    running = facts.engine.userland_proxy
    if running is None or facts.daemon_json.problem is not None:
        return
    configured = proxy_is_configured(facts)
    if configured is running:
        return
    yield Finding(
        code="userland-proxy-differs",
        severity="medium",
        title=f"the userland proxy is {_WORD[running]}, and the engine's next start switches it {_WORD[configured]}",
        evidence=(
            Evidence(what=facts.engine.userland_proxy_evidence, where="the running engine"),
            Evidence(
                what=f"userland-proxy is {_WORD[configured]}", where=f"{facts.daemon_json.path} or dockerd's flags"
            ),
        ),
        consequence="the next restart, planned or not, changes who reaches the published ports, while nobody looks",
        remedy="remedy plan with userland_proxy as you want it: it makes the change while it is being watched",
        spec=f"remedies: {{userland_proxy: {str(configured).lower()}}}",
        confidence="seen",
    )
