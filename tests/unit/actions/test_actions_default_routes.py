"""Default routes, from the form in which /proc has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from remedy.actions import default_routes as module
from remedy.actions.default_routes import default_routes

IPV4 = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010011AC	0003	0	0	0	00000000	0	0	0
eth0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
"""
IPV6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fd000001000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)


def test_both_families_and_no_reject_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "7" / "net").mkdir(parents=True)
    (tmp_path / "7" / "net" / "route").write_text(IPV4)
    (tmp_path / "7" / "net" / "ipv6_route").write_text(IPV6)
    monkeypatch.setattr(module, "Path", lambda text: tmp_path / text.removeprefix("/proc/"))

    assert default_routes(7) == {"via 172.17.0.1 by eth0", "via fd00:1::1 by eth0"}


def test_a_process_that_is_gone_is_an_error() -> None:
    with pytest.raises(OSError, match="No such"):
        default_routes(2**22 + 1)
