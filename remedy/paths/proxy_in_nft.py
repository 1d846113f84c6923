"""The nft tables of engine 29 as it would write them with the userland proxy on or off, from those that are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from remedy.paths.engine_bridges import NFT_TRANSLATIONS, EngineBridges, nft_translation

Json = Any  # nft's JSON: objects, arrays, text, numbers
_FAMILY = {4: "ip", 6: "ip6"}
_LOOPBACK: dict[int, Json] = {4: {"prefix": {"addr": "127.0.0.0", "len": 8}}, 6: "::1"}
_INWARD = "nat-postrouting-in__"
_FROM_HOST, _ITSELF = "MASQUERADE FROM HOST", "MASQ TO OWN PORT"  # the engine's own comments


@dataclass(frozen=True, slots=True)
class ProxyInNft:
    """The table `docker-bridges` of one family."""

    bridges: EngineBridges

    def switched(self, items: Sequence[Json], *, on: bool) -> list[object]:
        """The items of `nft -j list table` after a start with the proxy on or off."""
        chains = {item["chain"]["name"] for item in items if "chain" in item}
        switched = [self._item(item, on=on) for item in items if not self._is_for_hairpin(item)]
        if on:
            return switched
        itself = list(self._itself(items))
        for bridge in (name for name in self.bridges.names if _INWARD + name in chains):
            chain = _INWARD + bridge
            switched.append(self._rule(chain, [self._is_local()], self._from_host(bridge), _FROM_HOST))
            for owner, matches in itself:
                if owner == bridge:
                    switched.append(self._rule(chain, matches, {"masquerade": None}, _ITSELF))
        return switched

    def _item(self, item: Json, *, on: bool) -> Json:
        rule = item.get("rule")
        if rule is None or rule["chain"] not in ("nat-OUTPUT", NFT_TRANSLATIONS):
            return item
        excluded = self._excluded_from_output if rule["chain"] == "nat-OUTPUT" else self._excluded_from_translation
        expressions = [part for part in rule["expr"] if not _is_exclusion(part)]
        wanted = excluded(expressions) if on else []
        return {"rule": {**rule, "expr": [*wanted, *expressions]}}

    def _excluded_from_output(self, _expressions: Sequence[Json]) -> list[Json]:
        return [_match(self._payload("daddr"), _LOOPBACK[self.bridges.family], "!=")]

    def _excluded_from_translation(self, expressions: Sequence[Json]) -> list[Json]:
        found = nft_translation(expressions)
        bridge = None if found is None else self.bridges.bridge_of(found.to_address)
        return [] if bridge is None else [_match({"meta": {"key": "iifname"}}, bridge, "!=")]

    def _is_for_hairpin(self, item: Json) -> bool:
        rule = item.get("rule", {})
        return str(rule.get("chain", "")).startswith(_INWARD) and rule.get("comment") in (_FROM_HOST, _ITSELF)

    def _itself(self, items: Sequence[Json]) -> Iterator[tuple[str | None, list[Json]]]:
        """For each container port that something is translated to: its bridge, and a container's way to itself."""
        seen = set()
        for item in items:
            rule = item.get("rule", {})
            found = nft_translation(rule["expr"]) if rule.get("chain") == NFT_TRANSLATIONS else None
            if found is None or (key := (found.protocol, found.to_address, found.to_port)) in seen:
                continue
            seen.add(key)
            address = str(found.to_address)
            port = {"payload": {"protocol": found.protocol.value, "field": "dport"}}
            matches = [
                _match(self._payload("saddr"), address),
                _match(self._payload("daddr"), address),
                _match(port, found.to_port),
            ]
            yield self.bridges.bridge_of(found.to_address), matches

    def _from_host(self, bridge: str) -> Json:
        source = self.bridges.host_address(bridge)
        return {"masquerade": None} if source is None else {"snat": {"addr": source}}

    def _payload(self, field: str) -> Json:
        return {"payload": {"protocol": _FAMILY[self.bridges.family], "field": field}}

    def _is_local(self) -> Json:
        return _match({"fib": {"result": "type", "flags": ["saddr"]}}, "local")

    def _rule(self, chain: str, matches: list[Json], statement: Json, comment: str) -> Json:
        place = {"family": _FAMILY[self.bridges.family], "table": "docker-bridges", "chain": chain}
        return {"rule": {**place, "comment": comment, "expr": [*matches, statement]}}


def _match(left: Json, right: Json, op: str = "==") -> Json:
    return {"match": {"op": op, "left": left, "right": right}}


def _is_exclusion(expression: Json) -> bool:
    """Whether it keeps loopback or a bridge's own containers out, for the userland proxy to serve them."""
    match = expression.get("match")
    if match is None or match["op"] != "!=":
        return False
    left = match["left"]
    return bool(left == {"meta": {"key": "iifname"}} or left.get("payload", {}).get("field") == "daddr")
