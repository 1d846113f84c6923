"""The engine's iptables rules as it would write them with the userland proxy on or off, from those that are there.

Foreign rules stay as they are and in their order; the engine puts some of its own before or behind them at each start.
Sources: moby's iptablesdoc, and the rules of 20.10, 26.1, 28.5 and 29.7 on hosts that went from one setting to the
other, with foreign rules on both sides of the engine's (not of 29.7, which is taken to be as 28.5 there).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from remedy.firewall.saved_edit import EditableRules
from remedy.paths.engine_bridges import EngineBridges, translations_of
from remedy.paths.engine_versions import (
    Version,
    leaves_masquerade,
    masquerades_itself_with_proxy,
    returns_before_dnat,
)

_LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}
_JUMP = "-m addrtype --dst-type LOCAL -j DOCKER"
_PREROUTING = re.compile(rf"-A PREROUTING {_JUMP}")
_OUTPUT = re.compile(rf"-A OUTPUT (?:! -d \S+ )?{_JUMP}")
_RETURN = re.compile(r"-A DOCKER -i \S+ -j RETURN")
_OTHER_BRIDGE = re.compile(r" ! -i \S+")
_FROM_HOST = re.compile(r"-A POSTROUTING -o (\S+) -m addrtype --src-type LOCAL -j (?:MASQUERADE|SNAT --to-source \S+)")
_ITSELF = re.compile(r"-A POSTROUTING -s (\S+) -d \1 -p (\w+) -m \2 --dport \d+ -j MASQUERADE")
_FORWARD_SINCE_28 = ("-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD")
_FORWARD_BEFORE_28 = ("-A FORWARD -j DOCKER-ISOLATION-STAGE-1",)


@dataclass(frozen=True, slots=True)
class ProxyInIptables:
    """The rules of one family, for one engine version."""

    version: Version
    bridges: EngineBridges

    def switched(self, text: str, *, on: bool) -> str:
        """The iptables-save text after a start with the proxy on or off. Raises InputError for other text.

        Text of a family that the engine does not write to (ip6tables: false) comes back as it is.
        """
        rules = EditableRules(text)
        if not any(_OUTPUT.fullmatch(rule) for rule in rules.rules("nat", "OUTPUT")):
            return text
        rules.put("nat", "PREROUTING", _last(rules.rules("nat", "PREROUTING"), _PREROUTING))
        output = _last(rules.rules("nat", "OUTPUT"), _OUTPUT)
        rules.put("nat", "OUTPUT", [self._output(rule, on=on) for rule in output])
        rules.put("nat", "DOCKER", self._docker(rules.rules("nat", "DOCKER"), on=on))
        postrouting, docker = rules.rules("nat", "POSTROUTING"), rules.rules("nat", "DOCKER")
        rules.put("nat", "POSTROUTING", self._postrouting(postrouting, docker, on=on))
        if rules.has_chain("filter", "FORWARD"):
            rules.put("filter", "FORWARD", _forward(rules.rules("filter", "FORWARD")))
        return rules.text

    def _output(self, rule: str, *, on: bool) -> str:
        if not _OUTPUT.fullmatch(rule):
            return rule
        return f"-A OUTPUT {f'! -d {_LOOPBACK[self.bridges.family]} ' if on else ''}{_JUMP}"

    def _docker(self, rules: tuple[str, ...], *, on: bool) -> list[str]:
        dnats = [self._dnat(rule, on=on) for rule in rules if not _RETURN.fullmatch(rule)]
        if not on or not returns_before_dnat(self.version):
            return dnats
        # Networks are inserted on top one after the other; all are before the first port.
        return [*(f"-A DOCKER -i {bridge} -j RETURN" for bridge in self.bridges.masqueraded), *dnats]

    def _dnat(self, rule: str, *, on: bool) -> str:
        found = next(translations_of([rule]), None)
        if found is None:
            return rule
        plain = _OTHER_BRIDGE.sub("", rule)
        bridge = self.bridges.bridge_of(found.to_address)
        return plain.replace(" -p ", f" ! -i {bridge} -p ", 1) if on and bridge else plain

    def _postrouting(self, rules: tuple[str, ...], docker: tuple[str, ...], *, on: bool) -> list[str]:
        kept = list(rules)
        if on:
            if not leaves_masquerade(self.version):
                kept = [rule for rule in kept if not self._is_from_host(rule)]
            if not masquerades_itself_with_proxy(self.version):
                kept = [rule for rule in kept if not _ITSELF.fullmatch(rule)]
            return kept
        # On top of all, before foreign rules; those of the containers' ports behind them.
        missing = (b for b in self.bridges.names if not any(self._is_from_host(rule, b) for rule in kept))
        kept = [*(self._from_host(bridge) for bridge in missing), *kept]
        itself = dict.fromkeys(
            f"-A POSTROUTING -s {to.to_address}/{to.to_address.max_prefixlen} "
            f"-d {to.to_address}/{to.to_address.max_prefixlen} "
            f"-p {to.protocol} -m {to.protocol} --dport {to.to_port} -j MASQUERADE"
            for to in translations_of(docker)
        )
        return [*kept, *(rule for rule in itself if rule not in kept)]

    def _is_from_host(self, rule: str, bridge: str | None = None) -> bool:
        found = _FROM_HOST.fullmatch(rule)
        return found is not None and (found[1] in self.bridges.names if bridge is None else found[1] == bridge)

    def _from_host(self, bridge: str) -> str:
        source = self.bridges.host_address(bridge)
        target = "MASQUERADE" if source is None else f"SNAT --to-source {source}"
        return f"-A POSTROUTING -o {bridge} -m addrtype --src-type LOCAL -j {target}"


def _last(rules: tuple[str, ...], is_engines: re.Pattern[str]) -> list[str]:
    """With the engine's jump at the end of the chain, behind foreign rules: it is deleted and appended."""
    return [*(r for r in rules if not is_engines.fullmatch(r)), *(r for r in rules if is_engines.fullmatch(r))]


def _forward(rules: tuple[str, ...]) -> list[str]:
    """With those jumps on top that the engine deletes and inserts; the rules of each network stay where they are."""
    moved = _FORWARD_SINCE_28 if _FORWARD_SINCE_28[1] in rules else _FORWARD_BEFORE_28
    return [*(r for r in moved if r in rules), *(r for r in rules if r not in moved)]
