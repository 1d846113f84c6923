"""Names that remedy puts into the firewall: comments, chains, tables, interfaces.

Whatever comes from outside (container and interface names) passes through here, so that nothing can break
out of an nft script or an iptables-restore line.
"""

from __future__ import annotations

import re
from typing import get_args

from remedy.errors import RefusedError
from remedy.firewall.ruleset import RulesetName

COMMENT_PREFIX = "remedy:"
CHAIN_PREFIX = "REMEDY-"
NFT_TABLE_PREFIX = "remedy_"
RULESET_NAMES: tuple[RulesetName, ...] = get_args(RulesetName)

# nft: NFTNL_UDATA_COMMENT_MAXLEN is 128 bytes with the terminator; xt_comment has 256. The smaller fits both.
COMMENT_LIMIT = 127

# What Docker allows as a container's name (moby daemon/names: RestrictedNamePattern), plus ':' inside our own
# comments ("forward:web"), never a quote, a backslash or a blank.
_SAFE_TEXT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")

# The kernel takes nearly anything as an interface name (dev_valid_name). A trailing '+' is iptables' wildcard, a
# trailing '*' nft's, and nft's quoted strings know no escape: names with these cannot be written exactly.
_SAFE_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}")


def comment(what: str) -> str:
    """`remedy:<what>`, as hex where `what` is not plain, at most 127 bytes."""
    plain = what if _SAFE_TEXT.fullmatch(what) else "hex:" + what.encode(errors="replace").hex()
    return (COMMENT_PREFIX + plain)[:COMMENT_LIMIT]


def is_exact_interface(name: str) -> bool:
    """Whether both writers can write the interface's name exactly."""
    return _SAFE_INTERFACE.fullmatch(name) is not None


def interface(name: str) -> str:
    """The interface's name, if both writers can write it exactly.

    Raises RefusedError for a name with a wildcard, a quote or a blank in it.
    """
    if not is_exact_interface(name):
        raise RefusedError(
            f"the interface name {name!r} cannot be written into a firewall rule",
            why="it has characters that iptables or nft read as a pattern or a delimiter",
            next_step="give the network another com.docker.network.bridge.name",
        )
    return name


def chain(ruleset: RulesetName, part: str) -> str:
    """The iptables chain of one part of a ruleset, REMEDY-BRIDGING-PRE (28 characters at most)."""
    return f"{CHAIN_PREFIX}{ruleset.upper()}-{part}"


def chain_prefix(ruleset: RulesetName) -> str:
    """What every chain of the ruleset begins with."""
    return f"{CHAIN_PREFIX}{ruleset.upper()}-"


def nft_table(ruleset: RulesetName) -> str:
    """The nft table of a ruleset, the same name in families ip and ip6."""
    return f"{NFT_TABLE_PREFIX}{ruleset}"
