"""How a connection travels, as a person reads it. Decides nothing: everything is in the JSON form already."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from rich.console import Console

from remedy.cli.views.drawing import Drawing, beside_each_other, changed_steps
from remedy.cli.views.escape import escape
from remedy.cli.views.layout import Cell, Page, count

SIDE_BY_SIDE = 120  # columns of a terminal from which on two drawings stand beside each other
_WAYS = {
    "docker-proxy": "through docker-proxy",
    "dnat": "by DNAT, in the kernel",
    "direct": "directly",
    "local": "without leaving its network namespace",
}
_WAY_STYLES = {"docker-proxy": "bold yellow"}
_FAILURES = {"no-answer": "no answer", "refused": "connection refused", "unreachable": "unreachable"}


def show(console: Console, path: dict[str, Any]) -> None:
    """Write the verdict, then the way there and back; with `after`, both, and what differs."""
    page = Page(console)
    after = path.get("after")
    if after is None:
        _show_verdict(page, path)
        page.blank()
        _draw(page, path)
        return
    _show_both(page, path, after)
    if _is_same(path, after):
        page.blank()
        _draw(page, path)
    elif console.is_terminal and console.width >= SIDE_BY_SIDE:
        page.blank()
        _draw_beside(page, path, after)
    else:
        _draw_below(page, path, after)


# --- the verdict -----------------------------------------------------------------------------------------------


def _show_verdict(page: Page, path: dict[str, Any], indent: int = 0) -> None:
    page.sentence(*sentence(path), indent=indent)
    inner = indent + 2
    if path["reachable"] is None:
        _field(page, "why", path["unknown_because"] or "", indent=inner)
    elif path["reachable"]:
        page.field("cost", _cost(path), indent=inner)
        _field(page, "source", _source(path), indent=inner)
    else:
        last = path["steps"][-1]
        _field(page, "at", f"{last['where']}: {last['what']}", indent=inner)
        _field(page, "why", last["why"], indent=inner)


def _field(page: Page, label: str, value: str, indent: int = 2) -> None:
    page.field(label, escape(value), indent=indent)  # a name with a line's end in it stays on its line


def sentence(path: dict[str, Any]) -> list[Cell]:
    """Return the verdict in one sentence."""
    ends = f"{path['from']} ", f" {path['to']}"
    if path["reachable"] is None:
        return [("Unknown: ", "bold yellow"), f"remedy cannot tell whether {path['from']} reaches{ends[1]}."]
    if not path["reachable"]:
        failure = _FAILURES.get(path["failure"], "it fails")
        return [ends[0], ("does not reach", "bold red"), f"{ends[1]}: {failure}."]
    way = (_WAYS[path["via"]], _WAY_STYLES.get(path["via"], "bold green"))
    if path["by"] == "outside":
        return [ends[0], ("can reach", "bold green"), f"{ends[1]} ", way, "; it is for another machine to answer."]
    return [ends[0], ("reaches", "bold green"), f"{ends[1]} ", way, f"; {path['by']} answers."]


def _cost(path: dict[str, Any]) -> str:
    copies, entries = path["userspace_copies"], path["conntrack_entries"]
    copied = count(copies, "copy in user space", "copies in user space") if copies else "no copy in user space"
    tracked = count(entries, "conntrack entry", "conntrack entries") if entries else "no conntrack entry"
    return f"{copied}, {tracked}"


def _source(path: dict[str, Any]) -> str:
    sent, seen = path["source_sent"], path["source_seen"]
    server = "the server" if path["by"] == "outside" else path["by"]
    if seen is None:
        return ""
    if sent in (None, seen):
        return f"{server} sees the client's own address, {seen}"
    return f"{server} sees {seen}, and not the client's {sent}"


# --- before and after ------------------------------------------------------------------------------------------


def _is_same(path: dict[str, Any], after: dict[str, Any]) -> bool:
    before = {key: value for key, value in path.items() if key not in ("after", "plan")}
    return before == after


def _show_both(page: Page, path: dict[str, Any], after: dict[str, Any]) -> None:
    if _is_same(path, after):
        _show_verdict(page, path)
        why = "the plan does not touch this way" if path["plan"]["changes"] else "nothing is planned"
        page.field("after", f"the same: {why}", indent=2)
    else:
        page.line(("Now", "bold"))
        _show_verdict(page, path, indent=2)
        page.line(("Once the plan is applied", "bold"))
        _show_verdict(page, after, indent=2)
    if path["plan"]["refused"]:
        page.sentence(
            ("Warning: ", "bold yellow"), "this plan is refused, and apply will not do it; remedy plan says why"
        )


def _draw(page: Page, path: dict[str, Any], changed: frozenset[int] = frozenset(), sign: Cell = " ") -> None:
    drawing = Drawing(page.console, path, page.width, changed, sign)
    for block in drawing.blocks():
        for line in block:
            page.text(line)
    _field(page, "back", way_back(path))


def _draw_below(page: Page, path: dict[str, Any], after: dict[str, Any]) -> None:
    gone, new = changed_steps(path, after)
    page.blank()
    page.line(("Now", "bold"))
    _draw(page, path, gone, ("-", "red"))
    page.blank()
    page.line(("Once the plan is applied", "bold"))
    _draw(page, after, new, ("+", "green"))


def _draw_beside(page: Page, path: dict[str, Any], after: dict[str, Any]) -> None:
    for line in beside_each_other(page.console, ("Now", path), ("Once the plan is applied", after)):
        page.text(line)
    page.blank()
    _field(page, "back", way_back(path))
    _field(page, "then", way_back(after))


def way_back(path: dict[str, Any]) -> str:
    """Return the stations of the answer, each once in a row; empty where there is none."""
    stations = [where for where, _ in groupby(step["where"] for step in path["back"])]
    if set(stations) <= {path["from"]}:
        return ""  # it never left
    arrives = path["reachable"] or path["failure"] == "refused"
    if arrives and stations[-1] != path["from"]:
        stations.append(path["from"])
    return " → ".join(stations) + ("" if arrives else ", and no further")
