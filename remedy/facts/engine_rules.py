"""What differs between engine versions in what they say of themselves and leave on the host.

Everything that depends on a version number when *reading* a host stands here, with its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Version = tuple[int, int]

# moby a0a86d0982: `docker info` names the firewall backend.
REPORTS_FIREWALL_BACKEND: Version = (28, 1)
# moby#52321 (f3e4b626be): its Info has the pair EnableUserlandProxy=true, and has none when the proxy is off.
REPORTS_USERLAND_PROXY: Version = (29, 5)
# cmd/dockerd/config_unix.go: ip6tables is on unless said otherwise; before, only with `experimental`.
IP6TABLES_BY_DEFAULT: Version = (27, 0)
# moby#44777, #44832: a byte order mark in daemon.json is no error any more.
ACCEPTS_BYTE_ORDER_MARK: Version = (23, 0)

# The jump from nat OUTPUT excludes loopback while docker-proxy serves it (all versions 1.7 to 29).
_OUTPUT_JUMP = re.compile(
    r"^(?:\[\d+:\d+\] )?-A OUTPUT (?P<except>! -d (?:127\.0\.0\.0/8|::1/128) )?.*-j DOCKER$", re.MULTILINE
)
# (table, chain) -> where its rules lead (None: anywhere), inside a container on a user-defined network. The DNS server
# listens on 127.0.0.11, at ports that these translate (moby, libnetwork/resolver_unix.go).
DNS_CHAINS: dict[tuple[str, str], tuple[str, ...] | None] = {
    ("nat", "OUTPUT"): ("DOCKER_OUTPUT",),
    ("nat", "POSTROUTING"): ("DOCKER_POSTROUTING",),
    ("nat", "DOCKER_OUTPUT"): None,
    ("nat", "DOCKER_POSTROUTING"): None,
    # 29 with nftables of its own.
    ("docker-dns", "dns-dnat"): None,
    ("docker-dns", "dns-snat"): None,
}
_NAT_TABLE = re.compile(r"^\*nat$(.*?)^COMMIT$", re.MULTILINE | re.DOTALL)


def parse_version(text: str) -> Version:
    """Return major and minor of an engine version ("28.5.2+dfsg4"); (0, 0) for a version without numbers."""
    match = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def proxy_by_output_jump(save_text: str) -> bool | None:
    """Tell from iptables-save text whether the engine runs with userland-proxy; None when it does not tell."""
    nat = _NAT_TABLE.search(save_text)
    if nat is None:
        return None
    kinds = {match["except"] is not None for match in _OUTPUT_JUMP.finditer(nat[1])}
    return kinds.pop() if len(kinds) == 1 else None


def proxy_by_nft_output(table: Iterable[object]) -> bool | None:
    """Tell the same from `nft -j list table` of the engine's own tables (29), where the jump is in nat-OUTPUT."""
    rules = [item["rule"] for item in table if isinstance(item, dict) and "rule" in item]
    jumps = [rule["expr"] for rule in rules if rule.get("chain") == "nat-OUTPUT"]
    kinds = {any(_excludes_destination(statement) for statement in expressions) for expressions in jumps}
    return kinds.pop() if len(kinds) == 1 else None


def _excludes_destination(statement: object) -> bool:
    match = statement.get("match") if isinstance(statement, dict) else None
    if match is None:
        return False
    return bool(match["op"] == "!=" and match["left"].get("payload", {}).get("field") == "daddr")


def flag_value(command_line: tuple[str, ...], name: str) -> str | None:
    """Return the value of dockerd's last flag `--NAME`, "true" for one without value, None without the flag."""
    value = None
    for position, argument in enumerate(command_line[1:], start=1):
        key, equals, given = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or key != name:
            continue
        following = command_line[position + 1 : position + 2]
        # A boolean flag never takes the next argument (`--userland-proxy false` is an error of dockerd's).
        value = given if equals else (following[0] if following and name in _FLAGS_WITH_VALUE else "true")
    return value


_FLAGS_WITH_VALUE = frozenset({"config-file", "host", "pidfile", "bridge", "firewall-backend", "bip"})


def flag_is_true(value: str) -> bool:
    """Read a boolean flag as Go's strconv.ParseBool does."""
    return value in {"1", "t", "T", "true", "TRUE", "True"}
