"""The demonstration as a program: brings a lab host up, plays the scenes, and takes it down whatever happens."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.text import Text

from remedy.demo.scenes import Demonstration
from remedy.demo.stage import Stage
from remedy.errors import InterruptedRunError, RemedyError
from remedy.lab import ENGINES, FIREWALLS, Host, lab_up

EXIT_BROKEN_PROMISE = 1
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Play the demonstration; 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m remedy.demo", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[-1], help="the Docker engine")
    parser.add_argument("--firewall", choices=FIREWALLS, default=FIREWALLS[0], help="what iptables is on the host")
    options = parser.parse_args()
    stage = Stage()
    for number in _ENDING:  # SIGINT too: a shell starts what runs in the background with it ignored
        signal.signal(number, _interrupt)
    try:
        with _lab_host(stage, options.engine, options.firewall) as host:
            figures = Demonstration(host, stage).play()
    except RemedyError as error:
        stage.panel("The demonstration broke off", Text(str(error)), "red")
        return error.exit_code
    except KeyboardInterrupt:
        stage.say("interrupted; nothing is left behind")
        return InterruptedRunError.exit_code
    stage.say("That was one command: make demo. The next: make lab, for a shell on such a host.")
    return 0 if figures.is_good else EXIT_BROKEN_PROMISE


@contextmanager
def _lab_host(stage: Stage, engine: str, firewall: str) -> Iterator[Host]:
    with stage.waiting("starting a Docker host; the first time its root file system is built, a few minutes") as say:
        host = lab_up(f"demo-{os.getpid()}", engine=engine, firewall=firewall, say=say)
    try:
        yield host
    finally:
        # A second ^C must not leave half a host behind.
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        with stage.waiting("taking the host down"):
            host.down()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
