"""What the commands share: the spec, the facts, the settings and the plan, each obtained in one place."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from remedy.cli.options import GlobalOptions, options_of
from remedy.errors import EngineError, PermissionNeededError, RemedyError, RunWaitingError, SpecError, UsageError

if TYPE_CHECKING:
    from remedy.apply.settings import Settings
    from remedy.facts.model import HostFacts
    from remedy.plan.model import Plan
    from remedy.spec.models import Spec


class Session:
    """One command's view of its options and of the host. Everything is read when it is asked for."""

    def __init__(self, context: typer.Context) -> None:
        self.options: GlobalOptions = options_of(context)

    def settings(self, confirm_within_seconds: int | None = None) -> Settings:
        """Return where remedy keeps its state and how it reaches the engine."""
        from remedy.apply.settings import Settings

        return Settings.from_environment(
            daemon_json_path=self.daemon_json_path(), confirm_within_seconds=confirm_within_seconds
        )

    def must_work_on_this_host(self, command: str) -> None:
        """Raise UsageError when --facts names another host's, or another moment's, facts."""
        if self.options.facts is not None:
            raise UsageError(
                f"{command} works on the host that it runs on, as it is now: --facts belongs to `remedy plan`",
                next_step=f"remedy {command} without --facts",
            )

    def must_be_for_many_hosts(self, command: str) -> None:
        """Raise UsageError where a global option names something of one host, or of this machine."""
        if self.options.facts is not None:
            raise UsageError(f"{command} asks the hosts, and --facts is one", next_step="remedy plan --facts-dir DIR")
        if self.options.config is not None:
            raise UsageError(
                f"{command} goes by the remedy.yaml of each host, and --config is of this machine",
                next_step="-e remedy_config=PATH names another place on the hosts; remedy plan --facts-dir DIR -c FILE",
            )

    def spec_path(self) -> Path:
        """Return the remedy.yaml in force. Raises SpecError when there is none."""
        from remedy.spec.load import find_spec

        return find_spec(self.options.config)

    def spec(self) -> Spec:
        """Read remedy.yaml. Raises SpecError."""
        from remedy.spec.load import load_spec

        return load_spec(self.spec_path())

    def spec_if_any(self) -> Spec | None:
        """Read remedy.yaml where there is one; a wrong one is an error, an absent one is not.

        Raises SpecError.
        """
        from remedy.spec.load import find_spec_if_any, load_spec

        path = self.options.config or find_spec_if_any()
        return None if path is None else load_spec(path)

    def facts(self) -> HostFacts:
        """Look at the host, or read the file that --facts names. Raises InputError, EngineError, ..."""
        from remedy.facts import gather, load_facts

        if self.options.facts is not None:
            return load_facts(self.options.facts)
        try:
            facts = gather(daemon_json_path=self.daemon_json_path())
        except EngineError as error:
            self._tell_of_a_waiting_run(error)
            raise
        from remedy.facts.observed import with_observed

        return with_observed(facts, self.settings().state_dir)

    def _tell_of_a_waiting_run(self, error: EngineError) -> None:
        """Raise RunWaitingError where an engine that does not answer is the doing of a run that was interrupted."""
        from remedy.apply.lock import lock_is_held
        from remedy.apply.preflight import raise_if_waiting
        from remedy.apply.runs import active_run

        try:
            run = active_run(self.settings())
            if run is not None and not lock_is_held(self.settings()):
                raise_if_waiting(run)
        except RunWaitingError as waiting:
            waiting.why = "; ".join(filter(None, (waiting.why, f"now: {error.what}, {error.why}")))
            raise waiting from error
        except RemedyError:
            return  # not root: the engine's silence is all there is to tell

    def daemon_json_path(self) -> str:
        """Return the engine's file by its whole path: a plan and its undo may run from other directories."""
        return os.path.abspath(self.options.daemon_json)  # noqa: PTH100 (without following links)

    def plan(self) -> Plan:
        """Plan from remedy.yaml and the host as it is. Raises SpecError and what `facts` raises."""
        spec = self.spec()  # first: what is wrong in it needs no look at the host
        return self.plan_of(spec, self.facts())

    def plan_of(self, spec: Spec, facts: HostFacts) -> Plan:
        """Plan from remedy.yaml, which was read before, and these facts. Raises SpecError."""
        from datetime import UTC, datetime

        from remedy.plan.planner import make_plan
        from remedy.spec.load import spec_digest, with_place

        try:
            return make_plan(
                spec,
                facts,
                spec_digest=spec_digest(spec),
                now=datetime.now(UTC),
                # Another host keeps its remedy.yaml in the usual place.
                spec_path=None if self.options.facts is not None else str(self.spec_path().absolute()),
            )
        except SpecError as error:
            raise with_place(error, self.spec_path()) from error

    def facts_after(self, facts: HostFacts, plan: Plan) -> HostFacts:
        """Return the facts of the host as the plan will leave it. Raises RefusedError."""
        from remedy.plan.foresight import facts_after

        return facts_after(facts, plan.actions)

    def stop_if_a_run_waits(self, settings: Settings) -> None:
        """Say that an interrupted or pending run comes first, before looking at a host that is in its middle.

        Raises PermissionNeededError, LockHeldError, RunWaitingError.
        """
        from remedy.apply.lock import host_lock
        from remedy.apply.preflight import check_may_change, check_nothing_waits

        check_may_change(settings, "remedy apply")
        with host_lock(settings, "apply"):
            check_nothing_waits(settings)

    def with_waiting_run(self, plan: Plan) -> Plan:
        """Add a warning to a plan of a host on which a run is not finished: it may be half changed."""
        if self.options.facts is not None:
            return plan
        from remedy.apply.runs import active_run
        from remedy.plan.model import PlanWarning

        try:
            run = active_run(self.settings())
        except PermissionNeededError:
            return plan  # only root may apply, and is told then
        if run is None or run.state == "applied":
            return plan
        warning = PlanWarning(
            code="run-waiting",
            what=f"run {run.id} is not finished: it is at work, interrupted, or waits to be confirmed",
            detail="remedy status tells which; remedy confirm or remedy rollback finishes it",
        )
        return plan.model_copy(update={"warnings": (warning, *plan.warnings)})

    def say(self, described: dict[str, Any], sentence: str) -> None:
        """Answer with one sentence, or with its JSON form."""
        from remedy.cli.views.console import make_console, write_json
        from remedy.cli.views.escape import escape

        if self.options.is_json:
            write_json(described)
        else:
            make_console(self.options).print(escape(sentence))

    def show_plan(self, plan: Plan, saved_as: Path | None = None) -> None:
        """Show a plan."""
        self.show("plan", plan.model_dump(mode="json", by_alias=True))
        if saved_as is not None and not self.options.is_json:
            self.say({}, f"Saved to {saved_as}. Apply exactly this plan with: remedy apply {saved_as}")

    def show_rollback(self, steps: tuple[str, ...]) -> None:
        """Show what a rollback will undo."""
        self.show("rollback", {"steps": list(steps)})

    def show(self, view: str, described: dict[str, Any]) -> None:
        """Write the JSON form as it is, or hand it to the view of that name."""
        from remedy.cli.views.console import make_console, write_json

        if self.options.is_json:
            write_json(described)
            return
        render = import_module(f"remedy.cli.views.{view}").show
        render(make_console(self.options), described)
