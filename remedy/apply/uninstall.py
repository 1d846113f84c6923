"""uninstall: everything that is applied is undone, then the services and the state go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from remedy.apply.lock import host_lock
from remedy.apply.model import RunReport
from remedy.apply.preflight import check_may_change
from remedy.apply.progress import OnEvent
from remedy.apply.rollback import rollback_run
from remedy.apply.runs import active_run
from remedy.apply.settings import Settings
from remedy.host.units import installed_units, remove_unit

# What remedy keeps below its state directory. Anything else there is somebody's, and stays.
STATE = ("runs", "rules", "observed.json", "observed.json.lock", "watch.jsonl", "lock-holder.json", "lock")


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """rolled_back: a report for each run, newest first; the last one may have failed, then nothing else was removed.

    left: what is in the state directory and is not remedy's.
    """

    rolled_back: tuple[RunReport, ...] = ()
    units: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or that of the rollback that did not get through."""
        return self.rolled_back[-1].exit_code if self.rolled_back else 0


def uninstall(settings: Settings, *, force: bool, on_event: OnEvent) -> Uninstalled:
    """Undo every run that is applied, newest first; then remove services and state.

    Raises what rollback_run raises; then the services and the state are there still. Raises CommandError, OSError.
    """
    check_may_change(settings, "remedy uninstall")
    reports: list[RunReport] = []
    while (run := active_run(settings)) is not None:
        reports.append(rollback_run(run.id, force=force, settings=settings, on_event=on_event))
        if reports[-1].exit_code:
            return Uninstalled(tuple(reports))
    units = tuple(unit for unit in installed_units() if remove_unit(unit))
    return Uninstalled(tuple(reports), units, tuple(_remove_state(settings)))


def _remove_state(settings: Settings) -> Iterator[str]:
    directory = settings.state_dir
    if not directory.exists():
        return
    with host_lock(settings, "uninstall"):
        for name in STATE:
            path = directory / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    (directory / "lock").unlink(missing_ok=True)
    yield from sorted(str(path) for path in directory.iterdir())
    with suppress(OSError):  # not empty: see above
        directory.rmdir()
