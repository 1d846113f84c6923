"""`python -m remedy.truth [--seed N] [--cells N]`: is the packet walk right about live hosts?

Exit status 2 when it is wrong about a connection, 1 when a host could not be tried.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from remedy.errors import RemedyError
from remedy.truth.generate import generate
from remedy.truth.report import host_line, last_line, wrong_lines
from remedy.truth.run import Result, run_scenario
from remedy.truth.scenario import Kind, kinds

WRONG, FAILED = 2, 1
CELLS = 3600
ATTEMPTS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Try a host of every kind and print what differs."""
    options = _options(arguments)
    chosen = [kind for kind in kinds() if not options.only or any(word in str(kind) for word in options.only)]
    each = max(2, options.cells // len(chosen)) if chosen else 0
    say(f"seed {options.seed}, {len(chosen)} hosts, up to {each} connections each")
    results, failed = [], 0
    with ThreadPoolExecutor(options.hosts, thread_name_prefix="truth-host") as pool:
        jobs = [pool.submit(_one, options, kind, each) for kind in chosen]
        for job in jobs:
            result = job.result()
            if result is None:
                failed += 1
                continue
            results.append(result)
            say(host_line(result))
    for result in results:
        for line in wrong_lines(result):
            say(line)
    say(last_line(results, options.seed))
    if any(result.wrong for result in results):
        return WRONG
    return FAILED if failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m remedy.truth", description=(__doc__ or "").partition("\n\n")[0])
    chance = random.SystemRandom().randrange(10_000)
    parser.add_argument("--seed", type=int, default=chance, help="of the hosts and the questions; default random")
    parser.add_argument("--cells", type=int, default=CELLS, help=f"connections over all hosts; default {CELLS}")
    parser.add_argument("--hosts", type=int, default=2, help="at the same time")
    parser.add_argument("--only", action="append", help="hosts whose kind has this in it, such as 28.5-nft-on")
    parser.add_argument("--prefix", default=f"t{os.getpid()}", help="of the hosts' names")
    parser.add_argument("--keep", type=Path, help="a directory for the hosts' facts")
    return parser.parse_args(arguments)


def _one(options: argparse.Namespace, kind: Kind, cells: int) -> Result | None:
    """One host, and a second try: on a busy machine one does not come up in time now and then."""
    for _ in range(ATTEMPTS):
        try:
            return run_scenario(generate(options.seed, kind), options.prefix, cells, options.keep)
        except RemedyError as error:
            say(f"{kind}: {error}")
    return None


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
