"""Every error that remedy raises on purpose, and the exit code each one ends with.

    RemedyError                     1   something is wrong, nothing was changed
    ├── UsageError                  64  the command line itself is wrong
    ├── SpecError                   1   remedy.yaml is wrong (file:line:column)
    ├── InputError                  1   another file or option of the operator's is wrong
    ├── MissingExtraError           1   an optional dependency is needed and absent
    ├── MissingToolError            1   a program of the host is needed and absent
    ├── PermissionNeededError       1   this needs root (or the Docker socket)
    ├── CommandError                1   a program that remedy ran failed
    ├── EngineError                 1   the Docker engine does not answer, or not as it should
    ├── HaproxyError                1   haproxy does not take a configuration or an order
    ├── LabError                    1   a lab host cannot be made or found
    ├── VerificationFailedError     3   traffic did not flow, everything was put back
    ├── IncompleteRollbackError     4   something could not be put back: an operator is needed
    ├── LockHeldError               5   another remedy is at work on this host
    ├── StalePlanError              6   the host is not the one that was planned
    ├── RefusedError                7   it could be done, but it would hurt somebody
    ├── RunWaitingError             8   an interrupted or pending run comes first
    └── InterruptedRunError         130 ^C: rolled back

An error names the thing, its place, the reason and the next step; the command line renders it once.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RemedyError(Exception):
    """Base of all errors that are meant to be read by a person.

    what: the thing that went wrong, one sentence without the reason.
    where: file:line:column, an object's name, a command.
    why: the reason, as far as it is known.
    next_step: what the operator can do now.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, next_step: str | None = None
    ) -> None:
        self.what = what
        self.where = where
        self.why = why
        self.next_step = next_step
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.why:
            parts.append(f"why: {self.why}")
        if self.next_step:
            parts.append(f"next: {self.next_step}")
        return "\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Return the error as plain values: code, what, where, why, next, exit_code."""
        return {
            "code": self.code,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "next": self.next_step,
            "exit_code": self.exit_code,
        }


class UsageError(RemedyError):
    """The command line is wrong."""

    exit_code = 64
    code = "usage"


class SpecError(RemedyError):
    """remedy.yaml cannot be read, or says something that it cannot say."""

    code = "spec"


class InputError(RemedyError):
    """A file or option of the operator's (plan file, facts file, daemon.json) is wrong."""

    code = "input"


class MissingExtraError(RemedyError):
    """An optional dependency is needed now and is not installed."""

    code = "missing-extra"

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the extra {extra!r}, which is not installed",
            next_step=f"pip install 'docker-remedy[{extra}]'",
        )


class MissingToolError(RemedyError):
    """A program of the host is needed now and is not installed."""

    code = "missing-tool"


class PermissionNeededError(RemedyError):
    """Root, or access to the Docker socket, is needed."""

    code = "permission"


class CommandError(RemedyError):
    """A program that remedy ran ended with an error or not at all."""

    code = "command"


class EngineError(RemedyError):
    """The Docker engine cannot be reached or refuses."""

    code = "engine"


class HaproxyError(RemedyError):
    """haproxy does not accept a configuration, does not answer, or does not do what it was told."""

    code = "haproxy"


class LabError(RemedyError):
    """A lab host cannot be made, found or used."""

    code = "lab"


class VerificationFailedError(RemedyError):
    """A connection that worked before does not work any more; everything was put back."""

    exit_code = 3
    code = "rolled-back"


class IncompleteRollbackError(RemedyError):
    """Something could not be put back; the message lists the commands that finish the job by hand."""

    exit_code = 4
    code = "rollback-incomplete"


class LockHeldError(RemedyError):
    """Another run of remedy holds this host's lock."""

    exit_code = 5
    code = "locked"


class StalePlanError(RemedyError):
    """The host has changed since the plan was made."""

    exit_code = 6
    code = "stale"


class RefusedError(RemedyError):
    """Unsafe: somebody would be cut off, or the change could not be undone."""

    exit_code = 7
    code = "refused"


class RunWaitingError(RemedyError):
    """An interrupted or pending run has to be finished first."""

    exit_code = 8
    code = "run-waiting"


class InterruptedRunError(RemedyError):
    """^C or SIGTERM during apply; everything was put back."""

    exit_code = 130
    code = "interrupted"
