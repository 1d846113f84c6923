"""What is checked before the first write: who we are, what waits, whether the plan still fits, whether it can work."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from remedy.actions.context import ActionContext
from remedy.actions.watcher import spec_of
from remedy.apply.runs import Run, active_run
from remedy.apply.settings import Settings
from remedy.errors import (
    InputError,
    MissingToolError,
    PermissionNeededError,
    RefusedError,
    RunWaitingError,
    StalePlanError,
)
from remedy.facts.model import FirewallBackend, HostFacts
from remedy.haproxy import config_file
from remedy.host.conntrack_settings import MAXIMUM
from remedy.host.files import check_writable, read_without_following
from remedy.paths.engine_versions import has_validate
from remedy.plan.actions import (
    ConfigFile,
    HoldLiveRestore,
    RemoveRules,
    RewireHaproxy,
    SetWatcher,
    SizeConntrack,
    SwitchUserlandProxy,
    WriteRules,
)
from remedy.plan.basis import basis_of, changed_items
from remedy.plan.model import Plan

CHANGES_SHOWN = 8
NO_NAMELESS_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)


def check_may_change(settings: Settings, what: str) -> None:
    """Root, on the host itself. Raises PermissionNeededError, RefusedError."""
    if os.geteuid() != 0:
        raise PermissionNeededError(
            f"{what} needs root", why="it writes firewall rules, sysctls and daemon.json", next_step=f"sudo {what}"
        )
    if not settings.is_local:
        raise RefusedError(
            f"{what} works on the host it runs on, and DOCKER_HOST names another",
            where=settings.socket,
            why="rules, sysctls and daemon.json of that host cannot be reached from here",
            next_step="run remedy on that host, or unset DOCKER_HOST",
        )


def check_nothing_waits(settings: Settings) -> None:
    """No run is interrupted or waits to be confirmed. Raises RunWaitingError. Call it with the lock held."""
    run = active_run(settings)
    if run is not None:
        raise_if_waiting(run)


def raise_if_waiting(run: Run) -> None:
    """Raises RunWaitingError for a run that is interrupted, pending or half undone."""
    if run.state == "pending":
        raise RunWaitingError(
            f"run {run.id} waits to be confirmed until {run.deadline:%H:%M:%S} UTC",
            next_step="remedy confirm, or remedy rollback",
        )
    if run.state in ("open", "rollback-incomplete"):
        raise RunWaitingError(
            f"run {run.id} was interrupted" if run.state == "open" else f"run {run.id} is rolled back only in part",
            why="its process ended before it was done" if run.state == "open" else None,
            next_step="remedy rollback",
        )


def check_refusals(plan: Plan) -> None:
    """Raises RefusedError when the plan has any refusal; the first one is told whole, the rest named."""
    if not plan.refusals:
        return
    first, others = plan.refusals[0], plan.refusals[1:]
    more = "".join(f"; also: {refusal.what}" for refusal in others)
    accept = f"; or accept it in remedy.yaml: {first.accepted_by}" if first.accepted_by else ""
    raise RefusedError(first.what + more, why=first.why, next_step=first.cure + accept)


def check_fresh(plan: Plan, facts: HostFacts) -> None:
    """The host is still the one that was planned. Raises StalePlanError, InputError (another host's plan)."""
    if plan.host.machine_id != facts.host.machine_id:
        raise StalePlanError(
            f"this plan was made for another host ({plan.host.hostname})",
            why=f"this one is {facts.host.hostname}",
            next_step="remedy plan on this host",
        )
    changes = changed_items(plan.basis, basis_of(facts))
    if changes:
        shown = "; ".join(changes[:CHANGES_SHOWN])
        more = f"; and {len(changes) - CHANGES_SHOWN} more" if len(changes) > CHANGES_SHOWN else ""
        raise StalePlanError(
            "the host has changed since the plan was made", why=shown + more, next_step="remedy plan, and look again"
        )


def check_can_work(plan: Plan, facts: HostFacts, context: ActionContext) -> None:
    """Everything that the actions need is there and writable, proved now. Raises RemedyError subclasses."""
    for action in plan.actions:
        if isinstance(action, SwitchUserlandProxy | HoldLiveRestore):
            _check_daemon_json(action, facts, context)
        elif isinstance(action, WriteRules | RemoveRules):
            _check_writer(FirewallBackend(action.firewall_backend))
        elif isinstance(action, RewireHaproxy):
            for file in action.files:
                _check_configuration(file)
        elif isinstance(action, SizeConntrack):
            _check_conntrack(action, facts)
        elif isinstance(action, SetWatcher) and action.installed:
            spec_of(action)


def _check_conntrack(action: SizeConntrack, facts: HostFacts) -> None:
    """The table has filled up since the plan was made, or its files cannot be written: nothing is begun."""
    maximum, in_use = action.values.get(MAXIMUM), facts.conntrack.count
    if maximum is not None and in_use is not None and int(maximum) < in_use:
        raise RefusedError(
            f"the table would have room for {maximum} connections, and {in_use} are in it now",
            why="every new connection would be dropped until enough of them have ended",
            next_step="remedy plan, with a larger table or a shorter tcp_timeout_time_wait",
        )
    for file in action.files:
        path = Path(file.path)
        read_without_following(path)
        try:
            if path.parent.exists():
                _prove_writable(path, len(file.raw or b""))
        except OSError as error:
            raise _not_writable(path, error) from error


def _check_configuration(file: ConfigFile) -> None:
    """haproxy's file is written in place: that very file, and as much as it grows by. Raises StalePlanError too."""
    path = Path(file.content.path)
    try:
        config_file.check_writable(file)
        growth = len(file.content.raw or b"") - len(file.original.raw or b"")
        if growth > 0:
            _prove_writable(path, growth)
    except OSError as error:
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be written",
        where=str(path),
        why=error.strerror,
        next_step="make room, or the file (or its file system) writable; nothing was changed",
    )


def _check_daemon_json(action: SwitchUserlandProxy | HoldLiveRestore, facts: HostFacts, context: ActionContext) -> None:
    path = Path(action.path)
    raw = action.content.raw or b""
    try:
        if path.parent.exists():
            _prove_writable(path, len(raw))
    except OSError as error:
        raise _not_writable(path, error) from error
    if has_validate(facts.engine.version_tuple):
        context.engine.validate(raw, path)


def _prove_writable(path: Path, size: int) -> None:
    """check_writable by a file without a name, where there is such a thing: a kill leaves nothing of it behind."""
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in NO_NAMELESS_FILES:
            raise
        check_writable(path, size)
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"\0" * max(size, 1))
        file.flush()
        os.fsync(descriptor)
    if path.exists():
        # An immutable file (chattr +i) lets its directory be written, and refuses the rename.
        os.close(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_APPEND | os.O_CLOEXEC))


def _check_writer(backend: FirewallBackend) -> None:
    if backend is FirewallBackend.IPTABLES_LEGACY:
        from remedy.firewall.legacy_table import libiptc

        libiptc(4)  # as the writer does: installed is not enough, it has to find its C libraries
    elif shutil.which("nft") is None:
        raise MissingToolError(
            "the program 'nft' is not installed",
            why="the engine uses nf_tables here, and remedy writes its own nftables table",
            next_step="install the package nftables",
        )
