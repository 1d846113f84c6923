"""`python -m remedy.captures [--out FILE] [--conntrack] [DIRECTORY]`: ask the packet walk about recorded hosts.

DIRECTORY is a capture or holds captures. The last line sums up; what it says is no error of this program.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from remedy.captures.answers import BuildWalk, answers
from remedy.captures.files import find_captures, read_capture
from remedy.captures.questions import read_questions
from remedy.captures.report import answer_line, conntrack_lines, last_line, lines_of
from remedy.captures.score import Score, score
from remedy.errors import RemedyError
from remedy.paths.walk import Datapath

DEFAULT = "tests/captures"


def main(arguments: Sequence[str] | None = None, build: BuildWalk | None = None) -> int:
    """Evaluate the captures and print the scores; `build` makes the model, by default remedy's own."""
    parser = argparse.ArgumentParser(prog="python -m remedy.captures", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("directory", nargs="?", default=DEFAULT, type=Path, help=f"default: {DEFAULT}")
    parser.add_argument("--out", type=Path, help="write each answer there, a line of JSON for each question")
    parser.add_argument("--conntrack", action="store_true", help="list other numbers of conntrack entries, too")
    options = parser.parse_args(arguments)
    try:
        captures = find_captures(options.directory)
        with ExitStack() as stack:
            out = stack.enter_context(options.out.open("w")) if options.out else None
            scores = _evaluate(captures, build or Datapath, out)
    except (RemedyError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    for line in conntrack_lines(scores) if options.conntrack else ():
        print(line)  # noqa: T201
    print(last_line(scores))  # noqa: T201
    return 0 if len(scores) == len(captures) else 1


def _evaluate(captures: Sequence[Path], build: BuildWalk, out: TextIO | None) -> list[Score]:
    """Go through the captures; one that cannot be read is said, and the others count."""
    scores: list[Score] = []
    for path in captures:
        try:
            scores.append(evaluate(path, build, out))
        except RemedyError as error:
            print(error, file=sys.stderr)  # noqa: T201
            continue
        print("\n".join(lines_of(scores[-1])), flush=True)  # noqa: T201
    return scores


def evaluate(path: Path, build: BuildWalk, out: TextIO | None = None) -> Score:
    """Answer one capture's questions, into `out` too, and score what can be scored. Raises InputError."""
    files = read_capture(path)
    questionnaire = read_questions(files)
    answered = list(zip(questionnaire.cells, answers(files, questionnaire, build), strict=True))
    if out is not None:
        out.writelines(f"{answer_line(*pair)}\n" for _, pairs in answered for pair in pairs)
    return score(files.name, answered, is_scored=questionnaire.is_scored)


if __name__ == "__main__":
    sys.exit(main())
