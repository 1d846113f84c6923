"""Where a run keeps its state and which engine it talks to; made once by the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from remedy.facts.engine_api import endpoint_of

DEFAULT_STATE_DIRECTORY = "/var/lib/remedy"
DEFAULT_DAEMON_JSON = "/etc/docker/daemon.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """state_dir: 0700, root's. socket: DOCKER_HOST or the default. confirm_within_seconds: None: no guard."""

    state_dir: Path
    socket: str
    daemon_json_path: str = DEFAULT_DAEMON_JSON
    confirm_within_seconds: int | None = None
    lock_timeout_seconds: float = 0.0

    @classmethod
    def from_environment(
        cls,
        *,
        daemon_json_path: str = DEFAULT_DAEMON_JSON,
        confirm_within_seconds: int | None = None,
        lock_timeout_seconds: float = 0.0,
    ) -> Settings:
        """Read REMEDY_STATE_DIR and DOCKER_HOST."""
        return cls(
            # Whole: the guard and the next command run from other directories.
            state_dir=Path(os.environ.get("REMEDY_STATE_DIR") or DEFAULT_STATE_DIRECTORY).absolute(),
            socket=endpoint_of(None),
            daemon_json_path=daemon_json_path,
            confirm_within_seconds=confirm_within_seconds,
            lock_timeout_seconds=lock_timeout_seconds,
        )

    @property
    def is_local(self) -> bool:
        """Whether the engine is on this machine: only then can anything be changed."""
        return self.socket.startswith("unix://")

    @property
    def runs_dir(self) -> Path:
        """Where the runs are kept, a directory each."""
        return self.state_dir / "runs"
