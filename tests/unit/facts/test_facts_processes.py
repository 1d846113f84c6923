"""A process is read while it becomes another program, as haproxy's master does at each reload."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remedy.facts.processes import read_environment, read_image, read_process

SECONDS, PATIENCE = 0.5, 30.0


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[int]:
    """A process that becomes another program, with other arguments and as many variables, all the time."""
    script = tmp_path / "restless"
    script.write_text('M=$(($1 + 1)); N=$((M % 90 + 10)) MARK=set exec /bin/sh "$0" $M\n')
    with subprocess.Popen(["/bin/sh", script, "10"], env={"MARK": "set"}) as process:
        yield process.pid
        process.kill()


def test_the_environment_is_never_that_of_a_program_that_is_not_there_yet(restless: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert "MARK=set" in read_environment(restless)


def test_arguments_and_environment_belong_together(restless: int) -> None:
    began = time.monotonic()
    seen = set()
    # On a busy machine there are few looks in so short a time.
    while time.monotonic() < began + SECONDS or (len(seen) <= 10 and time.monotonic() < began + PATIENCE):
        image = read_image(restless)
        number = int(image.command_line.split(b"\0")[2])
        if number > 10:
            assert f"N={number % 90 + 10}".encode() in image.environment.split(b"\0")
        seen.add(number)
    assert len(seen) > 10


def test_arguments_are_never_missing(restless: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        process = read_process(restless)
        assert process is not None
        assert process.arguments[0] == "/bin/sh"


def test_a_program_that_was_given_no_environment_has_none() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env={}) as process:
        assert read_environment(process.pid) == ()


def test_nobody_waits_for_the_arguments_of_the_dead_and_of_the_kernels_threads() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        time.sleep(0.05)
        began = time.monotonic()
        process = read_process(pid)
        assert process is not None
        assert process.arguments == ()
        assert time.monotonic() - began < 0.5
    finally:
        os.waitpid(pid, 0)
