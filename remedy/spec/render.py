"""A proposal as a commented remedy.yaml. The host's text reaches it quoted by the YAML library, or in a comment."""

from __future__ import annotations

import io
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from remedy import __version__
from remedy.spec.models import Backend, UnitRef
from remedy.spec.proposal import Proposal

WIDTH = 100
# `accept: [{from: host, to: "..."}]`: several of these go under one key.
_LIST_OF_ONE = re.compile(r"^accept: \[(.*)\]$")
# Plain words that this or an older version of YAML reads as something else than text.
_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def render_yaml(proposal: Proposal) -> str:
    """Return the file's text; reading it gives `proposal.spec`."""
    lines = [
        *_header(proposal),
        "version: 1",
        "",
        *_load_balancer(proposal),
        "",
        *_backends(proposal),
        "",
        *_remedies(proposal),
        "",
        *_accept(proposal),
        "",
        *_probes(proposal),
        "",
        *_watch(proposal),
        "",
        *_policy(proposal),
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: int = 0) -> list[str]:
    """Return the text as comment lines: whatever it holds, it cannot leave the comment."""
    start = f"{'':{indent}}# "
    return textwrap.wrap(
        _harmless(text),
        WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _harmless(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _comments(texts: Iterable[str], indent: int = 0) -> Iterator[str]:
    for text in texts:
        yield from _comment(text, indent)


def quoted(value: str) -> str:
    """Return a text as a YAML scalar on one line: plain where it is a plain name, else in double quotes."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.@-]*", value) and value.lower() not in _YAML_WORDS:
        return value
    yaml = YAML(pure=True)
    yaml.width = 1_000_000
    yaml.allow_unicode = False
    stream = io.StringIO()
    yaml.dump([DoubleQuotedScalarString(value)], stream)
    return stream.getvalue().removeprefix("- ").removesuffix("\n")


def _header(proposal: Proposal) -> Iterator[str]:
    facts = proposal.facts
    proxy = {True: "on", False: "off", None: "unknown"}[facts.engine.userland_proxy]
    published = sum(len(container.ports) for container in facts.containers if container.is_running)
    yield from _comment(
        f"remedy.yaml for {facts.host.hostname}, proposed by remedy {__version__} on {facts.gathered_at:%Y-%m-%d}."
    )
    yield from _comment(
        f"Docker {facts.engine.version} ({facts.firewall.backend}), userland proxy {proxy}, "
        f"{len(facts.containers)} containers, {published} published ports, "
        f"{len(facts.docker_proxies)} docker-proxy processes."
    )
    yield "#"
    yield from _comment(
        "An absent key means: leave it as it is. What was left out stands here as a comment, with the reason. "
        "`remedy plan` shows what this would do."
    )


def _load_balancer(proposal: Proposal) -> Iterator[str]:
    yield from _comments(proposal.load_balancer.reasons)
    reference = proposal.load_balancer.reference
    if reference is None:
        yield "# load_balancer: haproxy"
    elif isinstance(reference, UnitRef):
        yield f"load_balancer: {{unit: {quoted(reference.unit)}}}"
    else:
        yield f"load_balancer: {quoted(str(reference))}"


def _backends(proposal: Proposal) -> Iterator[str]:
    if not proposal.groups:
        yield from _comment("No running container publishes a port.")
        yield "# backends:"
        yield "#   - {containers: [api-1, api-2], port: 8080}"
        return
    yield "backends:"
    for group in proposal.groups:
        yield from _comments(group.reasons, indent=2)
        yield from _backend(group.backend)


def _backend(backend: Backend) -> Iterator[str]:
    if backend.containers is not None:
        names = ", ".join(map(quoted, backend.containers))
        yield f"  - containers: [{names}]"
    else:
        yield f"  - project: {quoted(str(backend.project))}"
        yield f"    service: {quoted(str(backend.service))}"
    yield f"    port: {backend.port}"
    if backend.protocol != "tcp":
        yield f"    protocol: {backend.protocol}"


def _remedies(proposal: Proposal) -> Iterator[str]:
    yield "remedies:"
    for reasons, remedies in itertools.groupby(proposal.remedies, key=lambda remedy: remedy.reasons):
        yield from _comments(reasons, indent=2)
        for remedy in remedies:
            yield f"  {'' if remedy.is_taken else '# '}{remedy.key}: {remedy.value}"


def _accept(proposal: Proposal) -> Iterator[str]:
    yield from _comment("Consumers that may be cut off, each by name.")
    if proposal.acceptable:
        yield from _comment("What stands in the way above would be accepted by:")
        entries = [entry for line in proposal.acceptable for entry in _LIST_OF_ONE.findall(line)]
        yield from _comments(line for line in proposal.acceptable if not _LIST_OF_ONE.match(line))
        if entries:
            yield "# accept:"
            yield from (f"#   - {_harmless(entry)}" for entry in entries)
    else:
        yield '# accept: [{from: host, to: "[::1]:5001"}]'


def _probes(proposal: Proposal) -> Iterator[str]:
    yield from _comment(
        "Connections that must work before and after. Known consumers are tried anyway; add what matters to you, "
        'with http: "/healthz" where a request does no harm.'
    )
    if not proposal.spec.probes:
        yield "# probes:"
        yield '#   - {from: external, to: "192.0.2.10:443"}'
        return
    yield "probes:"
    for probe in proposal.spec.probes:
        yield f"  - {{from: {quoted(probe.from_)}, to: {quoted(probe.to)}}}"


def _watch(proposal: Proposal) -> Iterator[str]:
    if proposal.spec.watch:
        yield from _comments(proposal.watch)
        yield "watch: true"
    else:
        yield from _comment("The watcher, a systemd service that keeps all this right while containers come and go.")
        yield "# watch: true"


def _policy(proposal: Proposal) -> Iterator[str]:
    takes_proxy_off = proposal.spec.remedies.userland_proxy is False
    yield "policy:"
    yield from _comment("The engine may be restarted, once, for userland_proxy.", indent=2)
    yield f"  {'' if takes_proxy_off else '# '}restart_engine: true"
    if proposal.spec.policy.accept_pinned:
        yield from _comment("hairpin's rules name container addresses.", indent=2)
        yield "  accept_pinned: true"
    yield from _comment("Put everything back unless `remedy confirm` comes in time.", indent=2)
    yield "  # confirm_within: 60s"
