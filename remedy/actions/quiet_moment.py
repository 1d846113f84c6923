"""When to close a kept-alive connection: after an answer, and well before the next request.

A fixed silence is no good measure. A client that asks every 20 ms is silent for 20 ms just when its next request is on
its way, and a close then meets the request. So each connection is listened to first: how long its longest silence is
tells when the next request is due, and it is closed in the early part of a silence, with time to spare.
"""

from __future__ import annotations

from remedy.host.borrowed_sockets import Quiet

IDLE_MILLISECONDS = 100  # whoever is silent for so long asks rarely
# Shares of the patience: until when is listened only, until when the rhythm counts, and any short silence.
LISTENING, BY_RHYTHM, BY_SILENCE = 0.25, 0.75, 0.9
SHORT_MILLISECONDS = 2
# Of the longest silence: later than the pauses in the middle of an answer, earlier than the next request.
EARLIEST, LATEST = 0.25, 0.6
# A client that said nothing for longer is being sent a long answer, whose pauses only look like the end of one.
PERIODS_UNHEARD, MILLISECONDS_UNHEARD = 2, 20


def is_the_moment(quiet: Quiet, longest: int, share: float) -> bool:
    """Whether to close an answered connection now.

    longest: the longest silence that was seen on it, in milliseconds; share: how much of the patience is over.
    """
    silence = quiet.milliseconds
    if silence >= IDLE_MILLISECONDS:
        return True
    if share < LISTENING:
        return False
    if share < BY_RHYTHM:
        is_long_answer = quiet.unheard > PERIODS_UNHEARD * longest + MILLISECONDS_UNHEARD
        return not is_long_answer and longest > 1 and EARLIEST * longest <= silence <= LATEST * longest
    return silence >= SHORT_MILLISECONDS if share < BY_SILENCE else True
