"""The conntrack table by origin, as a person reads it; shared by doctor, status and verify."""

from __future__ import annotations

from typing import Any

from remedy.cli.views.layout import Page, count

MAX_ORIGINS = 8
_FULL, _FILLING = 0.8, 0.6


def show_tracked(page: Page, tracked: dict[str, Any] | None) -> None:
    """Write a Tracked; nothing where connections are not tracked."""
    if tracked is None:
        return
    fill = tracked["fill"]
    style = "bold red" if fill >= _FULL else "bold yellow" if fill >= _FILLING else ""
    level = f"{count(tracked['entries'], 'entry', 'entries')} of {tracked['maximum']}"
    page.line(("Conntrack: ", "bold"), (f"{level} ({fill:.0%} full)", style), _details(tracked))
    shown = tracked["origins"][:MAX_ORIGINS]
    page.columns([[f"{origin['entries']:>7}", origin["what"], (origin["kind"], "dim")] for origin in shown])
    left = tracked["origins"][MAX_ORIGINS:]
    if left:
        entries = sum(origin["entries"] for origin in left)
        page.line(f"{entries:>7}  {count(len(left), 'more origin')} (--format json has them all)", indent=2)


def _details(tracked: dict[str, Any]) -> str:
    parts = []
    if tracked["bytes"] is not None:
        parts.append(f"{tracked['bytes'] / (1 << 20):.1f} MiB")
    if tracked["ended_per_second"] is not None:
        parts.append(f"{tracked['ended_per_second']:g} connections ended a second")
    if tracked["losses"] is not None:
        parts.append(", ".join(f"{name} {number}" for name, number in tracked["losses"].items()))
    if not tracked["is_complete"]:
        parts.append("more flows than are told apart")
    return "".join(f"; {part}" for part in parts)
