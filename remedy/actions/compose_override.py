"""WriteComposeOverride: the file is checked by compose together with the project's own, then written in one piece."""

from __future__ import annotations

import tempfile
from pathlib import Path

from remedy.actions.context import ActionContext
from remedy.actions.daemon_json import has_content, put_content
from remedy.errors import RemedyError
from remedy.host.compose import Networks, has_compose, read_config
from remedy.host.directories import open_directory
from remedy.plan.actions import FileContent, WriteComposeOverride


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
        self._put(self._action.content)

    def revert(self, _undo: dict[str, object]) -> None:
        """Raises InputError and OSError."""
        try:
            self._put(self._action.original)
        except FileNotFoundError:
            # The project was taken away with its directory: there is nothing to take the file out of.
            self._note(f"{self._action.working_directory} is gone, and the override with it")

    def _put(self, content: FileContent) -> None:
        # By a descriptor: the directory may be a user's, who must not be able to put another in its place meanwhile.
        path = Path(content.path)
        with open_directory(str(path.parent), self._action.content.uid) as directory:
            put_content(content.model_copy(update={"path": str(directory / path.name)}))

    def _check(self) -> None:
        action = self._action
        if not has_compose():
            self._note("not checked by compose, which is not installed here")
            return
        before = read_config(action.project, action.working_directory, action.compose_files)
        if before.complaint is not None:
            # A variable that only the operator's shell has, for one: then compose's word is worth nothing here.
            self._note(f"not checked by compose, which does not take {action.project} as it is: {before.complaint}")
            return
        with tempfile.TemporaryDirectory(prefix="remedy-") as directory:
            candidate = Path(directory, Path(action.path).name)
            candidate.write_bytes(action.content.raw or b"")
            files = [*action.compose_files, str(candidate)]
            after = read_config(action.project, action.working_directory, files)
        if after.complaint is not None:
            why = after.complaint.replace(str(candidate), action.path)
            raise self._rejected(f"compose rejects the project {action.project} with the override", why)
        odd = unexpected(before.networks, after.networks, action.network, action.services)
        if odd is not None:
            raise self._rejected(f"the override would change more of {action.project} than its new network", odd)

    def _rejected(self, what: str, why: str) -> RemedyError:
        return RemedyError(
            what,
            where=self._action.path,
            why=why,
            next_step="nothing was written there; add the network to the compose file yourself, and plan again",
        )


def unexpected(before: Networks, after: Networks, network: str, services: tuple[str, ...]) -> str | None:
    """What the override does to a service's networks beside adding the one; None when nothing.

    A service with a network_mode has no networks before, and gets the default one by the override.
    """
    for service, old in before.items():
        new = after.get(service, frozenset())
        lost = old - new
        if lost:
            return f"{service} would lose the network {', '.join(sorted(lost))}"
        if service in services and network not in new:
            return f"{service} would not be on {network}"
        added = new - old - {network}
        if added and (old or service not in services):
            return f"{service} would join the network {', '.join(sorted(added))}"
    return None
