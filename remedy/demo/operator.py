"""The hands of the demonstration: runs an operator's commands on the host, under load or in peace, and shows them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from remedy.bench.load_model import LoadResult
from remedy.bench.loading import Loading
from remedy.demo.stage import Stage
from remedy.demo.traffic import load_order
from remedy.errors import CommandError
from remedy.facts.model import HostFacts
from remedy.facts.store import parse_facts
from remedy.lab import Host

_COMMAND_TIMEOUT_SECONDS = 120
_SETTLE_SECONDS = 1.0
_BACKENDS_TIMEOUT_SECONDS = 20.0


class Operator:
    """Someone with a root shell on the host."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self._host = host
        self._stage = stage

    def run(self, *arguments: str) -> str:
        """What a command writes, not shown. Raises CommandError when it fails."""
        return self._host.run(arguments, timeout=_COMMAND_TIMEOUT_SECONDS).stdout

    def show(self, *arguments: str, begin: str = "") -> None:
        """Run a command and show its lines as they come, from the one that is `begin` on.

        Raises CommandError when it fails.
        """
        process = self._host.popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            hidden = _pass_on(process.stdout, begin, self._stage.output)
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status:
            raise CommandError(f"ended with status {status}", where=" ".join(arguments), why="\n".join(hidden[-20:]))

    def show_under_load(self, *arguments: str, begin: str) -> LoadResult:
        """The same, while clients make new connections from everywhere; what they met."""
        with Loading(load_order(self._host)) as loading:
            self.show(*arguments, begin=begin)
        return loading.result

    def wait_for_backends(self, count: int) -> None:
        """Until haproxy serves from so many containers: its first health checks may have come before they listened."""
        deadline = time.monotonic() + _BACKENDS_TIMEOUT_SECONDS
        seen: set[str] = set()
        with self._stage.waiting("waiting for haproxy's health checks"):
            while len(seen) < count and time.monotonic() < deadline:
                asked = self._host.external.run(
                    ["curl", "-s", "-m2", f"http://{self._host.address}:8080/"], check=False
                )
                seen |= {word for word in asked.stdout.split() if word.startswith("name=")}

    def facts(self) -> HostFacts:
        """What `remedy facts` says."""
        return parse_facts(self.run("remedy", "facts"), "remedy facts")

    def facts_under_load(self) -> HostFacts:
        """The same, while a client keeps 16 connections busy."""
        with self._busy_client():
            time.sleep(_SETTLE_SECONDS)
            return self.facts()

    @contextmanager
    def _busy_client(self) -> Iterator[None]:
        wrk = ["wrk", "-t1", "-c16", f"-d{_COMMAND_TIMEOUT_SECONDS}s", f"http://{self._host.address}:8080/1k"]
        client = self._host.external.popen(wrk, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            client.kill()
            client.wait()


def _pass_on(stream: IO[bytes] | None, begin: str, show: Callable[[str], None]) -> Sequence[str]:
    """Show the lines from `begin` on; return those before it."""
    hidden: list[str] = []
    is_shown = not begin
    for raw in stream or ():
        line = raw.decode(errors="replace").rstrip()
        is_shown = is_shown or line == begin
        if is_shown:
            show(line)
        else:
            hidden.append(line)
    return hidden
