"""What the running engine has put on the host, read quickly and often: its rules and docker-proxies."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable

from remedy.actions.engine import Engine
from remedy.facts.engine_rules import proxy_by_output_jump
from remedy.facts.model import FirewallBackend
from remedy.facts.processes import find_processes
from remedy.facts.proxies import PROXY_PROGRAM, read_proxies
from remedy.firewall.iptables_save import rules_of
from remedy.firewall.ruleset import Redirect, Ruleset
from remedy.host.commands import run_command
from remedy.plan.actions import Leftover


def save_command(backend: FirewallBackend, family: int) -> str:
    """The iptables-save of the engine's variant; the plain one where there is no other (older distributions)."""
    variant = "legacy" if backend is FirewallBackend.IPTABLES_LEGACY else "nft"
    program = "ip6tables" if family == 6 else "iptables"
    named = f"{program}-{variant}-save"
    return named if shutil.which(named) else f"{program}-save"


def read_rules(backend: FirewallBackend, family: int, table: str) -> str:
    """One table as iptables-save text. Raises CommandError, MissingToolError."""
    return run_command([save_command(backend, family), "-t", table]).stdout


def effective_userland_proxy(engine: Engine, backend: FirewallBackend) -> bool | None:
    """Whether the engine runs with the userland proxy, by its jump from nat OUTPUT; None when it cannot be told."""
    if not engine.answers():
        return None
    return proxy_by_output_jump(read_rules(backend, 4, "nat"))


def rules_serve(ruleset: Ruleset, backend: FirewallBackend) -> bool:
    """Whether the engine has its own DNAT and its accept for every redirect of the ruleset."""
    for family in {redirect.family for redirect in ruleset.redirects}:
        nat = _matches(_DNAT, read_rules(backend, family, "nat"))
        accepts = _matches(_ACCEPT, read_rules(backend, family, "filter"))
        for redirect in (r for r in ruleset.redirects if r.family == family):
            if (redirect.protocol, str(redirect.port), _target(redirect)) not in nat:
                return False
            if (str(redirect.to_address), redirect.protocol, str(redirect.to_port)) not in accepts:
                return False
    return True


def still_wanted(ruleset: Ruleset, engine: Engine) -> Ruleset:
    """The ruleset without the redirects whose container does not run, or has another address by now.

    Raises EngineError.
    """
    addresses = engine.container_addresses()
    kept = tuple(r for r in ruleset.redirects if r.to_address in addresses.get(r.container, ()))
    return ruleset.model_copy(update={"redirects": kept})


def docker_proxies_serve(ruleset: Ruleset) -> bool:
    """Whether a docker-proxy process serves every redirect of the ruleset."""
    running = read_proxies(find_processes([PROXY_PROGRAM]), None)
    serving = {(proxy.protocol, proxy.host_port, proxy.container_address) for proxy in running}
    return all((r.protocol, r.port, r.to_address) in serving for r in ruleset.redirects)


def remove_leftovers(leftovers: Iterable[Leftover], backend: FirewallBackend) -> None:
    """Delete rules that the engine left behind, by exact match of their text and then by their number.

    Not by `iptables -D RULE`: 1.8.11 compares without the interfaces (moby 49667).
    """
    for leftover in leftovers:
        program = save_command(backend, leftover.family).removesuffix("-save")
        while (number := _number_of(leftover, backend)) is not None:
            run_command([program, "-w", "-t", leftover.table, "-D", leftover.chain, str(number)])


def _number_of(leftover: Leftover, backend: FirewallBackend) -> int | None:
    saved = read_rules(backend, leftover.family, leftover.table)
    rules = [rule.text for rule in rules_of(saved, leftover.table, leftover.chain)]
    return rules.index(leftover.rule) + 1 if leftover.rule in rules else None


# As iptables-save prints them on 20.10 to 28.5, in the chains DOCKER of nat and filter.
_DNAT = re.compile(r"^-A DOCKER .*-p (\w+) .*--dport (\d+) .*?-j DNAT --to-destination (\S+)", re.MULTILINE)
_ACCEPT = re.compile(r"^-A DOCKER -d ([^/ ]+)/\d+ .*-p (\w+) .*--dport (\d+) .*?-j ACCEPT", re.MULTILINE)


def _matches(pattern: re.Pattern[str], text: str) -> set[tuple[str, ...]]:
    return set(pattern.findall(text))


def _target(redirect: Redirect) -> str:
    address = f"[{redirect.to_address}]" if redirect.family == 6 else str(redirect.to_address)
    return f"{address}:{redirect.to_port}"
