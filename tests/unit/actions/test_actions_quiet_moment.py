"""A kept-alive connection is closed between two requests, with time to spare before the next one."""

from __future__ import annotations

import pytest

from remedy.actions.quiet_moment import is_the_moment
from remedy.host.borrowed_sockets import Quiet


def quiet(milliseconds: int, unheard: int | None = None) -> Quiet:
    return Quiet(True, True, milliseconds, milliseconds + 1 if unheard is None else unheard)


@pytest.mark.parametrize("period", [8, 10, 20, 40, 90])
def test_a_client_with_a_rhythm_is_never_closed_when_its_next_request_is_due(period: int) -> None:
    moments = [silence for silence in range(period + 1) if is_the_moment(quiet(silence), period, 0.5)]

    assert moments
    assert max(moments) <= 0.6 * period


def test_at_first_only_an_idle_connection_is_closed() -> None:
    assert not is_the_moment(quiet(20), 20, 0.1)
    assert is_the_moment(quiet(100), 100, 0.0)


def test_a_pause_in_a_long_answer_is_not_taken_for_its_end_while_there_is_patience() -> None:
    assert not is_the_moment(quiet(8, unheard=400), 20, 0.5)


def test_what_is_never_quiet_is_closed_after_any_answer_when_patience_ends() -> None:
    assert not is_the_moment(quiet(0), 0, 0.5)
    assert is_the_moment(quiet(2), 2, 0.8)
    assert is_the_moment(quiet(0), 0, 0.95)
