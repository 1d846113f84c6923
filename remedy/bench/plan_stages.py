"""`remedy plan`, stage by stage: the same steps as the command, each timed.

    python -m remedy.bench.plan_stages SPEC       the plan on stdout, StageTimes (JSON) on stderr

A program of its own, for imports count only once in a process. Nothing is imported before the clock runs.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    """Plan once."""
    clock = time.perf_counter
    began = clock()
    from remedy.garbage import collect_rarely

    collect_rarely()
    # What `remedy plan` imports bit by bit, down to the last that it needs when it shows the plan.
    from datetime import UTC, datetime
    from pathlib import Path

    import docker.api.client  # noqa: F401
    import rich.table  # noqa: F401

    from remedy.apply.runs import active_run  # noqa: F401
    from remedy.cli.app import build  # noqa: F401
    from remedy.cli.options import GlobalOptions
    from remedy.cli.plan import app  # noqa: F401
    from remedy.cli.views.console import make_console
    from remedy.cli.views.plan import show
    from remedy.facts import gather
    from remedy.plan.planner import make_plan
    from remedy.spec.load import load_spec, spec_digest

    imported = clock()
    spec = load_spec(Path(sys.argv[1]))
    read = clock()
    facts = gather()
    gathered = clock()
    made = make_plan(spec, facts, spec_digest=spec_digest(spec), now=datetime.now(UTC))
    planned = clock()
    show(make_console(GlobalOptions()), made.model_dump(mode="json", by_alias=True))
    sys.stdout.flush()
    shown = clock()

    from remedy.bench.speed_model import StageTimes

    times = StageTimes(
        imports=imported - began,
        spec=read - imported,
        gather=gathered - read,
        planning=planned - gathered,
        render=shown - planned,
    )
    sys.stderr.write(times.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
