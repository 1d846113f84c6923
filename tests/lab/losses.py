"""What the network cost under load, apart from answers that a busy machine gave late.

A late answer counts where a segment was sent again: then a packet was dropped on the way.
"""

from __future__ import annotations

from remedy.bench.load_model import Incident, VantageResult


def lost_by_the_network(vantage: VantageResult) -> list[str]:
    """What went wrong with new connections."""
    lost = [
        told(one)
        for one in vantage.incidents
        if not one.kind.startswith("keep-alive") and (one.kind != "late" or one.retransmits)
    ]
    unseen = vantage.refused + vantage.reset + vantage.failed + vantage.never
    return lost or ([f"{unseen} connections"] if unseen else [])


def broken_by_the_network(vantage: VantageResult) -> list[str]:
    """What went wrong on kept-alive connections; an orderly close between two requests is nothing wrong."""
    wrong = [one for one in vantage.incidents if one.kind.startswith("keep-alive") and one.kind != "keep-alive closed"]
    slow = [one for one in wrong if one.kind == "keep-alive late" and not one.retransmits and not one.detail]
    broken = [told(one) for one in wrong if one not in slow]
    unseen = vantage.keep_alive_failures - len(wrong)
    return broken or ([f"{unseen} requests"] if unseen else [])


def told(one: Incident) -> str:
    return f"{one.kind} after {one.milliseconds} ms, {one.retransmits} segments sent again {one.detail}"
