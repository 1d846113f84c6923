"""libxtables' option tables as python-iptables should read them.

iptables 1.8.11 added a member to struct xt_option_entry (`base`) without a new version of the library: an entry is
56 bytes long instead of 48. python-iptables 1.2.0 knows the old length only, so it sees the first option of each
extension and none after it (`addrtype: no such parameter dst-type`, seen on 1.8.11 and 1.8.13).
"""

from __future__ import annotations

import ctypes
from typing import Any

_NEW_ENTRY_BYTES = 56


def read_option_tables_of_any_version(extension: Any) -> None:
    """Teach the python-iptables object behind a match or target the new length; the old one is tried first."""
    tables = extension._xt
    old_lookup = type(tables)._option_lookup

    def lookup(entries: Any, name: bytes) -> Any:
        return old_lookup(tables, entries, name) or _find(entries, name)

    tables._option_lookup = lookup


def _find(entries: Any, name: bytes) -> Any:
    """Walk entries of the new length. An option that we ask for and the old length does not show is in there."""
    entry_type = type(entries.contents)
    address = ctypes.addressof(entries.contents)
    while (entry := entry_type.from_address(address)).name:
        if entry.name == name:
            return entry
        address += _NEW_ENTRY_BYTES
    return None
