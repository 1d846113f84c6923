"""What the watcher costs while nothing happens: memory and processor, on throwaway hosts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from remedy.bench.loss import Case, Say, case_host, run_remedy
from remedy.bench.priority import favoured
from remedy.frozen import Frozen
from remedy.lab import Host
from remedy.watch.apart import STAYS_SECONDS

PROMISED_MEBIBYTES = 40.0
PROMISED_PROCESSOR = 0.005  # of one: about nothing
SPEC = "/etc/remedy/remedy.yaml"
UNIT = "remedy-watch"
SETTLE_SECONDS = STAYS_SECONDS + 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


class IdleResult(Frozen):
    """One watcher at rest. rss, pss: KiB. processor: of one, while nothing happened for `seconds`.

    state: what came before: nothing is applied, a run was, or containers were started again since.
    """

    engine: str
    firewall: str
    containers: int
    state: str
    metrics: bool
    rss: int
    pss: int
    processor: float
    seconds: float

    @property
    def keeps_promise(self) -> bool:
        """Whether it is as small and as quiet as promised; with metrics nothing is promised of its size."""
        small = self.rss / 1024 < PROMISED_MEBIBYTES or self.metrics
        return small and self.processor < PROMISED_PROCESSOR


def measure_idle(case: Case, *, seconds: float, say: Say, priority: int = 0) -> Iterator[IdleResult]:
    """Start the host, install the watcher, and look at it at rest, as it goes on. Raises LabError, CommandError."""
    say(f"{case}: starting the host")
    with case_host(case, f"bench-{os.getpid()}") as host, favoured(host, priority):
        names = host.run(["docker", "ps", "--format", "{{.Names}}", "--filter", "name=api"]).stdout.split()
        host.run(["mkdir", "-p", str(Path(SPEC).parent)])
        host.write_file(SPEC, _spec(names))
        run_remedy(host, "-c", SPEC, "watch", "--install")
        yield _rest(host, case, "nothing applied", seconds, say)
        run_remedy(host, "-c", SPEC, "apply", "--yes")
        yield _rest(host, case, "applied", seconds, say)
        for first in range(0, len(names), 20):
            host.run(["docker", "restart", "-t", "0", *names[first : first + 20]], timeout=300)
        yield _rest(host, case, "all containers restarted", seconds, say)
        run_remedy(host, "-c", SPEC, "watch", "--install", "--metrics", "127.0.0.1:9417")
        yield _rest(host, case, "with metrics", seconds, say, metrics=True)


def idle_table(results: Sequence[IdleResult]) -> Table:
    """A row for each rest."""
    table = Table(title="The watcher at rest", title_justify="left")
    table.add_column("host", no_wrap=True)
    table.add_column("before", no_wrap=True)
    for name in ("RSS MiB", "PSS MiB", "processor"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in results:
        table.add_row(
            f"{one.engine} {one.firewall}, {one.containers} containers",
            one.state,
            f"{one.rss / 1024:.1f}",
            f"{one.pss / 1024:.1f}",
            f"{one.processor:.2%}",
            style="" if one.keeps_promise else "bold red",
        )
    return table


def idle_verdict(results: Sequence[IdleResult]) -> str:
    """The table in one sentence."""
    plain = [one for one in results if not one.metrics]
    most = max(one.rss for one in plain) / 1024
    kept = "kept" if all(one.keeps_promise for one in results) else "BROKEN"
    return f"at most {most:.1f} of {PROMISED_MEBIBYTES:.0f} MiB resident at rest: promise {kept}"


def _rest(host: Host, case: Case, state: str, seconds: float, say: Say, *, metrics: bool = False) -> IdleResult:
    say(f"{case}: {state}, {SETTLE_SECONDS + seconds:.0f} s")
    _wait_for_peace(host)
    pid = host.run(["systemctl", "show", "-p", "MainPID", "--value", UNIT]).stdout.strip()
    before, began = _processor_seconds(host, pid), time.monotonic()
    time.sleep(seconds)
    used, elapsed = _processor_seconds(host, pid) - before, time.monotonic() - began
    memory = host.run(["cat", f"/proc/{pid}/smaps_rollup"]).stdout
    return IdleResult(
        engine=case.engine,
        firewall=case.firewall,
        containers=case.containers,
        state=state,
        metrics=metrics,
        rss=_kibibytes(memory, "Rss"),
        pss=_kibibytes(memory, "Pss"),
        processor=used / elapsed,
        seconds=round(elapsed, 1),
    )


def _wait_for_peace(host: Host) -> None:
    """Until the watcher has said nothing for a while, and its process that looks is gone."""
    log, quiet_since = "", time.monotonic()
    while time.monotonic() - quiet_since < SETTLE_SECONDS:
        time.sleep(1)
        said = host.run(["journalctl", "-u", UNIT, "--no-pager", "-o", "cat", "-n", "5"]).stdout
        if said != log:
            log, quiet_since = said, time.monotonic()


def _processor_seconds(host: Host, pid: str) -> float:
    """Of the watcher and of the children that it had."""
    words = host.run(["cat", f"/proc/{pid}/stat"]).stdout.rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / _TICKS


def _kibibytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _spec(names: Sequence[str]) -> str:
    backends = ", ".join(names)
    return f"version: 1\nbackends:\n  - {{containers: [{backends}], port: 8080}}\nremedies:\n  hairpin: true\n"
