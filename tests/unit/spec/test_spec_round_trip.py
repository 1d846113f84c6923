"""A law: what a spec says survives being written down and read."""

from __future__ import annotations

import contextlib
import io

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from remedy.errors import SpecError
from remedy.facts.model import Protocol
from remedy.spec.conntrack import ConntrackOptions
from remedy.spec.duration import parse_duration
from remedy.spec.load import parse_spec, spec_digest
from remedy.spec.models import (
    AcceptedLoss,
    Backend,
    HairpinOptions,
    HostPort,
    Policy,
    Probe,
    Remedies,
    ServiceRef,
    Spec,
    UnitRef,
)

SIZE_UNITS = ("KiB", "MiB", "GiB")
# YAML has no control characters and no lone surrogates; the models strip blanks at the ends.
texts = (
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"]), min_size=1).map(str.strip).filter(bool)
)
ports = st.integers(1, 65535)
host_ports = st.builds(
    lambda address, port, protocol: str(HostPort(address=address, port=port, protocol=protocol)),
    st.ip_addresses(),
    ports,
    st.sampled_from(Protocol),
)
durations = st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 99999), st.sampled_from("smh"))
backends = st.one_of(
    st.builds(Backend, containers=st.lists(texts, min_size=1, unique=True).map(tuple), port=ports),
    st.builds(Backend, project=texts, service=texts, port=ports),
    st.builds(Backend, label=texts, port=ports, protocol=st.sampled_from(Protocol)),
)
remedies = st.builds(
    Remedies,
    userland_proxy=st.none() | st.booleans(),
    hairpin=st.none() | st.booleans() | st.builds(HairpinOptions, loopback=st.booleans()),
    conntrack=st.none()
    | st.builds(ConntrackOptions, max=st.integers(1024, 2**31 - 1), tcp_timeout_time_wait=durations)
    | st.builds(
        ConntrackOptions,
        connection_rate=st.integers(1, 1_000_000),
        memory=st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 999999), st.sampled_from(SIZE_UNITS)),
        tcp_timeout_established=durations,
    ),
)
specs = st.builds(
    Spec,
    version=st.just(1),
    load_balancer=st.none()
    | texts
    | st.builds(ServiceRef, project=texts, service=texts)
    | st.just(UnitRef(unit="h.service")),
    backends=st.lists(backends, max_size=1).map(tuple),
    remedies=remedies,
    accept=st.lists(st.builds(AcceptedLoss, from_=texts, to=host_ports), max_size=2).map(tuple),
    probes=st.lists(st.builds(Probe, from_=texts, to=host_ports, http=st.none() | st.just("/x")), max_size=2).map(
        tuple
    ),
    policy=st.builds(Policy, restart_engine=st.booleans(), confirm_within=st.none() | durations),
    accept_pinned=st.none() | st.booleans(),
)


@given(specs)
def test_a_spec_written_as_yaml_reads_the_same(spec: Spec) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False  # in flow style ruamel writes a plain ?0, which it does not read
    stream = io.StringIO()
    yaml.dump(spec.model_dump(mode="json", by_alias=True), stream)
    again = parse_spec(stream.getvalue(), "x")
    assert again == spec
    assert spec_digest(again) == spec_digest(spec)


@given(host_ports)
def test_an_endpoint_reads_as_it_is_shown(text: str) -> None:
    assert str(HostPort.parse(text)) == text


@given(durations)
def test_a_duration_is_a_number_of_seconds(text: str) -> None:
    assert parse_duration(text) == int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


@given(st.text())
def test_no_text_makes_the_loader_fail_in_an_unplanned_way(text: str) -> None:
    with contextlib.suppress(SpecError):
        parse_spec(text, "x")
