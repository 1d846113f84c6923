"""Signals during a run."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from remedy.apply.interrupts import STOPPING, Interrupts, catch_interrupts
from remedy.errors import InterruptedRunError


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_asks_the_run_to_stop_and_the_next_ones_are_answered(number: signal.Signals) -> None:
    told: list[str] = []
    with catch_interrupts(told.append) as interrupts:
        interrupts.stop_if_asked()
        send(number)
        wait_for(lambda: len(told) == 1)
        send(signal.SIGINT)
        wait_for(lambda: len(told) == 2)
        with pytest.raises(InterruptedRunError, match=f"stopped by {number.name}"):
            interrupts.stop_if_asked()
    assert told[0].startswith(f"{number.name}: this step is finished")
    assert "cannot be interrupted" in told[1]


def test_while_the_host_is_put_back_a_signal_changes_nothing() -> None:
    told: list[str] = []
    with catch_interrupts(told.append) as interrupts:
        interrupts.go_back()
        send(signal.SIGTERM)
        wait_for(lambda: told != [])
        interrupts.stop_if_asked()
    assert "cannot be interrupted" in told[0]


def test_once_the_change_is_kept_a_signal_only_learns_how_to_undo_it() -> None:
    told: list[str] = []
    with catch_interrupts(told.append) as interrupts:
        interrupts.keep()
        send(signal.SIGINT)
        wait_for(lambda: told != [])
        interrupts.stop_if_asked()
    assert "remedy rollback" in told[0]


def test_a_signal_before_the_change_is_kept_still_stops_it() -> None:
    with catch_interrupts(lambda _: None) as interrupts:
        send(signal.SIGINT)
        with pytest.raises(InterruptedRunError):
            interrupts.keep()


def test_a_signal_while_the_terminal_is_being_written_to_does_not_wait_for_it() -> None:
    terminal = threading.Lock()
    told: list[str] = []

    def say(text: str) -> None:
        with terminal:
            told.append(text)

    with catch_interrupts(say) as interrupts:
        with terminal:
            send(signal.SIGINT)
            time.sleep(0.05)
            assert interrupts.first is signal.SIGINT
        wait_for(lambda: told != [])


def test_the_handlers_that_were_there_are_there_again() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with catch_interrupts(lambda _: None):
        assert [signal.getsignal(number) for number in STOPPING] != before
    assert [signal.getsignal(number) for number in STOPPING] == before
    assert [thread for thread in threading.enumerate() if thread.name == "remedy-signals"] == []


def test_in_another_thread_nothing_is_caught() -> None:
    before = signal.getsignal(signal.SIGINT)
    caught: list[object] = []

    def run() -> None:
        with catch_interrupts(lambda _: None):
            caught.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert caught == [before]


@pytest.mark.parametrize("moment", ["before it is remembered", "while the run goes back for it"])
def test_the_first_signal_is_told_what_it_does_however_late_or_early_it_is_told(moment: str) -> None:
    interrupts = Interrupts()
    if moment != "before it is remembered":
        interrupts.on_signal(signal.SIGINT, None)
        interrupts.go_back()
    assert "this step is finished" in interrupts.answer_to(signal.SIGINT, is_first=True)
