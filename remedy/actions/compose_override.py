"""WriteComposeOverride: the file is checked by compose together with the project's own, then written in one piece."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from remedy.actions.context import ActionContext
from remedy.actions.daemon_json import has_content, put_content
from remedy.errors import MissingToolError, RemedyError
from remedy.host.commands import run_command
from remedy.plan.model import WriteComposeOverride

CHECK_SECONDS = 30.0


class ComposeOverrideAction:
    """The plan has all bytes, before and after."""

    def __init__(self, action: WriteComposeOverride, context: ActionContext) -> None:
        self._action = action
        self._note = context.note

    def undo_data(self) -> dict[str, object]:
        """Nothing."""
        return {}

    def is_applied(self) -> bool:
        """The file says what it shall."""
        return has_content(self._action.content)

    def apply(self) -> None:
        """Raises RemedyError with compose's words when it rejects the project with this file, and OSError."""
        if not Path(self._action.working_directory).is_dir():
            raise RemedyError(f"{self._action.working_directory} is gone", next_step="remedy plan, and look again")
        self._check()
        put_content(self._action.content)

    def revert(self, _undo: dict[str, object]) -> None:
        """Raises OSError."""
        put_content(self._action.original)

    def _check(self) -> None:
        if not has_compose():
            self._note("not checked by compose, which is not installed here")
            return
        with tempfile.TemporaryDirectory(prefix="remedy-") as directory:
            candidate = Path(directory, Path(self._action.path).name)
            candidate.write_bytes(self._action.content.raw or b"")
            with_it = self._complaint([*self._action.compose_files, str(candidate)])
            if with_it is None:
                return
            without = self._complaint(self._action.compose_files)
            if without is not None:
                # A variable that only the operator's shell has, for one: then compose's word is worth nothing here.
                self._note(f"not checked by compose, which does not take {self._action.project} as it is: {without}")
                return
            raise RemedyError(
                f"compose rejects the project {self._action.project} with the override",
                where=self._action.path,
                why=with_it.replace(str(candidate), self._action.path),
                next_step="report this; nothing was written there",
            )

    def _complaint(self, files: Sequence[str]) -> str | None:
        """What compose says against these files; None when nothing."""
        options = [option for file in files for option in ("-f", file)]
        place = ["--project-directory", self._action.working_directory, "--project-name", self._action.project]
        done = run_command(["docker", "compose", *place, *options, "config", "-q"], check=False, timeout=CHECK_SECONDS)
        said = (done.stderr or done.stdout).strip()
        return None if done.status == 0 else said[-400:] or f"it ends with status {done.status}"


def has_compose() -> bool:
    """Whether `docker compose` is there. A docker without the plugin takes its options for its own, and complains."""
    try:
        return run_command(["docker", "compose", "version"], check=False, timeout=CHECK_SECONDS).status == 0
    except MissingToolError:
        return False
