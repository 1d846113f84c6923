"""Load while something happens: the generator as a child process, for the length of a `with` block."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from remedy.bench.load_model import LoadOrder, LoadResult
from remedy.errors import CommandError

MODULE = "remedy.bench.load"
READY_TIMEOUT_SECONDS = 10.0
END_TIMEOUT_SECONDS = 20.0


class Loading:
    """The generator runs inside the `with` block; `result` is there after it.

    It ends with this process whatever happens: its stdin is a pipe of ours.
    """

    def __init__(self, order: LoadOrder) -> None:
        self._order = order
        self._process: subprocess.Popen[bytes] | None = None
        self._result: LoadResult | None = None

    @property
    def result(self) -> LoadResult:
        """What the connections met. Raises CommandError when the generator broke down."""
        if self._result is None:
            raise CommandError("the load generator has no result", where=MODULE)
        return self._result

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The scheduler shares out time by session: in ours it would take its own from the remedy under test.
            start_new_session=True,
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise CommandError("the load generator has no pipes", where=MODULE)
        try:
            stdin.write(self._order.model_dump_json().encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it ended at once; that it is not ready says so below, with its own words
        if stdout.readline() != b"ready\n":
            raise self._broken()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        try:
            output, words = process.communicate(timeout=END_TIMEOUT_SECONDS)  # closes stdin: that ends it
        except subprocess.TimeoutExpired:
            process.kill()
            output, words = process.communicate()
        if kind is not None:
            return
        try:
            self._result = LoadResult.model_validate_json(output)
        except ValidationError as invalid:
            raise _failed("the load generator broke down", words) from invalid

    def _broken(self) -> CommandError:
        words = b""
        if self._process is not None:
            self._process.kill()
            _, words = self._process.communicate()
        return _failed("the load generator does not start", words)


def _failed(what: str, words: bytes) -> CommandError:
    return CommandError(what, where=MODULE, why=words.decode(errors="replace").strip()[-2000:] or None)
