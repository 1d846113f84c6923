"""The conntrack table by origin, as a person reads it: each origin in doctor, one line in status and verify."""

from __future__ import annotations

from typing import Any

from remedy.cli.views.layout import Page, count

MAX_ORIGINS = 8
_FULL, _FILLING = 0.8, 0.6


def show_tracked_in_short(page: Page, tracked: dict[str, Any] | None) -> None:
    """Write a Tracked in one line: its level, the entries by kind of origin, what was lost."""
    if tracked is None:
        return
    kinds: dict[str, int] = {}
    for origin in tracked["origins"]:
        kinds[origin["kind"]] = kinds.get(origin["kind"], 0) + origin["entries"]
    by_kind = ", ".join(f"{kind} {entries}" for kind, entries in kinds.items())
    losses = "".join(f"; {part}" for part in _losses(tracked))
    page.line("Conntrack: ", _level(tracked), f": {by_kind}" if by_kind else "", losses)


def show_tracked(page: Page, tracked: dict[str, Any] | None) -> None:
    """Write a Tracked, an origin a line; nothing where connections are not tracked."""
    if tracked is None:
        return
    page.line(("Conntrack: ", "bold"), _level(tracked), _details(tracked))
    shown = tracked["origins"][:MAX_ORIGINS]
    page.columns([[f"{origin['entries']:>7}", origin["what"], (origin["kind"], "dim")] for origin in shown])
    left = tracked["origins"][MAX_ORIGINS:]
    if left:
        entries = sum(origin["entries"] for origin in left)
        page.line(f"{entries:>7}  {count(len(left), 'more origin')} (--format json has them all)", indent=2)


def _level(tracked: dict[str, Any]) -> tuple[str, str]:
    fill = tracked["fill"]
    style = "bold red" if fill >= _FULL else "bold yellow" if fill >= _FILLING else ""
    return f"{count(tracked['entries'], 'entry', 'entries')} of {tracked['maximum']} ({fill:.0%} full)", style


def _losses(tracked: dict[str, Any]) -> list[str]:
    if tracked["losses"] is None:
        return []
    return [", ".join(f"{name} {number}" for name, number in tracked["losses"].items())]


def _details(tracked: dict[str, Any]) -> str:
    parts = []
    if tracked["bytes"] is not None:
        parts.append(f"{tracked['bytes'] / (1 << 20):.1f} MiB")
    if tracked["ended_per_second"] is not None:
        parts.append(f"{tracked['ended_per_second']:g} connections ended a second")
    parts += _losses(tracked)
    if not tracked["is_complete"]:
        parts.append("more flows than are told apart")
    return "".join(f"; {part}" for part in parts)
