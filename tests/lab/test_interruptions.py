"""^C, SIGTERM, a closed terminal, a reader that goes away, and a second remedy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from conftest import LabHost
from operating import Operator
from state import State, differences, host_state

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def shared(module_lab_host: LabHost) -> Iterator[tuple[Operator, State]]:
    """One host for all of them: every test gives it back as it was."""
    operator = Operator(module_lab_host("28.5", "nft"))
    yield operator, host_state(operator.host)


def interrupted(operator: Operator, record: str, signals: list[signal.Signals]) -> tuple[int, str]:
    """Apply, and signal it at this record; again when a busy machine let the signal come after the end."""
    for _ in range(4):
        running = operator.apply_until(record)
        for number in signals:
            running.kill(number)
            time.sleep(0.1)
        code, output = running.wait()
        if code != 0:
            break
        operator.remedy("rollback", "--yes", check=True)
    return code, output


@pytest.mark.parametrize(
    ("record", "signals"),
    [
        ("started", [signal.SIGINT]),
        ("intent userland_proxy", [signal.SIGINT, signal.SIGINT, signal.SIGTERM]),
        ("done userland_proxy", [signal.SIGTERM]),
        ("done unbridge", [signal.SIGHUP]),
    ],
)
def test_a_signal_puts_everything_back(
    shared: tuple[Operator, State], record: str, signals: list[signal.Signals]
) -> None:
    operator, before = shared
    code, output = interrupted(operator, record, signals)
    assert code == 130, output
    assert f"{signals[0].name}: this step is finished, then everything is put back" in output
    assert output.count("cannot be interrupted") == len(signals) - 1
    assert differences(before, host_state(operator.host)) == []
    assert operator.json("status")["state"] == "clean"
    assert operator.json("history")["runs"][0]["result"] == "rolled-back"


def test_a_signal_to_a_rollback_changes_nothing(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    operator.remedy("apply", "--yes", check=True)
    running = operator.start("rollback", "--yes")
    operator.wait_for("reverting userland_proxy", running=running)
    running.kill(signal.SIGINT)
    code, output = running.wait()
    assert code == 0, output
    assert differences(before, host_state(operator.host)) == []


def test_a_terminal_that_is_closed_puts_everything_back(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    runs = len(operator.runs())
    with operator.start_on_terminal("apply", "--yes") as terminal:
        operator.wait_for_new_run(runs, terminal)
        operator.wait_for("intent userland_proxy", running=terminal)
    assert terminal.wait()[0] == 130
    assert "rolled-back" in operator.events()
    assert differences(before, host_state(operator.host)) == []


def test_a_reader_that_goes_away_does_not_stop_the_run_half_way(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    for command, end in (("apply", "committed"), ("rollback", "rolled-back")):
        hearing, speaking = os.pipe()
        running = operator.start(command, "--yes", stdout=speaking, stderr=speaking)
        os.close(speaking)
        os.read(hearing, 1)
        os.close(hearing)
        assert running.process.wait(60) == 0
        assert operator.events()[-1] == end
    assert differences(before, host_state(operator.host)) == []


def test_a_second_remedy_is_told_who_is_at_work(shared: tuple[Operator, State]) -> None:
    operator, before = shared
    first = operator.apply_until("intent create_network")  # the engine runs, and answers the others
    with first.held_still():
        second = operator.start("rollback", "--yes", stderr=subprocess.STDOUT)
        third = operator.start("apply", "--yes", "--format", "json")
        (second_code, told), (third_code, answer) = second.wait(), third.wait()
    assert second_code == 5, told
    assert "another remedy is at work" in told
    assert "process " in told
    assert "`apply`" in told
    assert third_code == 5, answer
    assert json.loads(answer)["error"]["code"] == "locked"
    assert first.wait()[0] == 0
    operator.remedy("rollback", "--yes", check=True)
    assert differences(before, host_state(operator.host)) == []


def test_looking_at_the_status_again_and_again_does_not_keep_anybody_from_working(
    shared: tuple[Operator, State],
) -> None:
    operator, before = shared
    watching = operator.host.popen(
        ["sh", "-c", "while :; do remedy history > /dev/null & remedy status > /dev/null; wait; done"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = operator.remedy("apply", "--yes")
        assert done.status == 0, done.stdout + done.stderr
        done = operator.remedy("rollback", "--yes")
        assert done.status == 0, done.stdout + done.stderr
    finally:
        watching.kill()
        watching.wait()
    assert differences(before, host_state(operator.host)) == []
