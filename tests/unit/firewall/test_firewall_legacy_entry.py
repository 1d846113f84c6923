"""Rules as the kernel's binary entries."""

from __future__ import annotations

import pytest

from remedy.firewall.iptables_rules import Family, OwnRule
from remedy.firewall.legacy_entry import build


@pytest.mark.parametrize(("family", "masks"), [(4, slice(48, 80)), (6, slice(96, 128))])
def test_an_interface_is_compared_by_its_whole_name(family: Family, masks: slice) -> None:
    """struct ipt_ip and ip6t_ip6: addresses and their masks, the interfaces' names, and then their masks."""
    pytest.importorskip("iptc")
    rule = OwnRule("FORWARD", "ACCEPT", "remedy:x", in_interface="br-0123456789ab", out_interface="br-a")
    mask = b"\xff" * 16 + b"\xff" * 5 + bytes(11)
    assert bytes(build(rule, family))[masks] == mask
