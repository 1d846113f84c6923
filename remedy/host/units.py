"""systemd services that remedy installs, and removes without a trace."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from remedy.host.commands import run_command
from remedy.host.files import TEMPORARY_SUFFIX, remove_durably, write_atomically

UNIT_DIRECTORY = Path("/etc/systemd/system")
WANTS = "multi-user.target.wants"
SYSTEMD_IS_INIT = Path("/run/systemd/system")  # sd_booted(3)

# Told to whoever removes the unit: the directory of links did not exist before.
_MADE_DIRECTORY = f"\n[X-Remedy]\nMade={WANTS}\n"


def systemd_is_init() -> bool:
    """Whether there is a systemd to install services for."""
    return SYSTEMD_IS_INIT.is_dir()


def unit_path(name: str) -> Path:
    """The file of a service of ours."""
    return UNIT_DIRECTORY / name


def install_unit(name: str, text: str, *, start: bool = True, start_timeout: float = 30.0) -> None:
    """Write the service, enable and start it. text: of ours, new or as it was read. Raises CommandError, OSError."""
    # Whoever of ours goes last removes the directory that the first of ours has made.
    ours = UNIT_DIRECTORY.glob("remedy-*.service")
    made = not (UNIT_DIRECTORY / WANTS).exists() or any(_has_made_directory(path) for path in ours)
    whole = text.removesuffix(_MADE_DIRECTORY) + (_MADE_DIRECTORY if made else "")
    write_atomically(unit_path(name), whole.encode(), mode=0o644)
    run_command(["systemctl", "enable", *(["--now"] if start else []), name], timeout=start_timeout)


def remove_unit(name: str, *, stop: bool = True) -> bool:
    """Stop and remove the service; whether there was anything of it.

    The unit file goes last, so that what a kill leaves is found again. Raises CommandError, OSError.
    """
    path = unit_path(name)
    link = UNIT_DIRECTORY / WANTS / name
    temporary = path.with_name(name + TEMPORARY_SUFFIX)
    if not any(left.is_symlink() or left.exists() for left in (path, link, temporary)):
        return False
    made_directory = _has_made_directory(path)
    if stop:
        run_command(["systemctl", "stop", name], check=False, timeout=100)
    remove_durably(link)
    if made_directory:
        with suppress(OSError):  # somebody else's link is in it now
            link.parent.rmdir()
    remove_durably(temporary)
    remove_durably(path)
    run_command(["systemctl", "daemon-reload"])
    run_command(["systemctl", "reset-failed", name], check=False)
    return True


def is_active(name: str) -> bool:
    """Whether the service runs. Raises CommandError."""
    return run_command(["systemctl", "is-active", "--quiet", name], check=False).status == 0


def installed_units() -> tuple[str, ...]:
    """The services of remedy's that are installed: the watcher and guards."""
    return tuple(sorted(path.name for path in UNIT_DIRECTORY.glob("remedy-*.service")))


def quoted(word: str) -> str:
    """A word of ExecStart=."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _has_made_directory(path: Path) -> bool:
    try:
        return path.read_text().endswith(_MADE_DIRECTORY)
    except FileNotFoundError:
        return False
