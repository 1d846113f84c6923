"""Where a lab keeps its things, and the names that follow from that place.

    CACHE/                     built once, read-only afterwards, shared by every lab
      roots/KEY/               a Debian root file system with an engine in it
      images/KEY.tar           the container image
      templates/KEY/           /var/lib/docker with that image loaded
      building/KEY/            one build at work; its lock is an flock on this directory
    LAB/                       one lab: a switch, an external machine, any number of hosts
      hosts/NAME/              one host; its lock is an flock on this directory
        host.json              the record: written before anything else is made
        upper/ work/ root/     its overlay over a root file system
        docker/ containerd/    plain directories, since overlay2 does not work on an overlay
        console.log            what its first process said
    CGROUPS/remedy-lab-TAG/    every process of the lab, TAG follows from LAB
      NAME/ _switch/ _external/
        machine/               the host's own processes; a host sees it as the root of all cgroups
        visitors/              what `lab exec` brought in, so that it cannot outlive the host

No mount and no network namespace of a lab is visible on the machine: all of them hang on processes, and
every process of a lab is in the lab's cgroups. So killing the cgroups and deleting the directories leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from remedy.errors import LabError

ENGINES = ("20.10", "26.1", "28.5")
FIREWALLS = ("nft", "legacy")

DEFAULT_CACHE_DIRECTORY = Path("/var/cache/remedy/lab")
DEFAULT_LAB_DIRECTORY = Path("/var/lib/remedy-lab")

# A host's name becomes its hostname, a directory and a cgroup; names with "_" are the lab's own.
_HOST_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# These characters separate overlay mount options and the fields of the mounts file.
_UNUSABLE_IN_MOUNTS = re.compile(r"[,:\\\s]")


@dataclass(frozen=True, slots=True)
class Place:
    """The cgroups of a host, the switch or the external machine."""

    cgroup: Path

    @property
    def machine(self) -> Path:
        """Its own processes. The unified hierarchy allows none beside it in `cgroup` itself."""
        return self.cgroup / "machine"

    @property
    def visitors(self) -> Path:
        """The programs that `exec` started in it, seen from outside."""
        return self.cgroup / "visitors"


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one lab. `cgroup` is the directory of the lab in the unified hierarchy."""

    directory: Path
    cache: Path
    cgroup: Path

    @property
    def hosts(self) -> Path:
        """The directory with one directory per host."""
        return self.directory / "hosts"

    def host_directory(self, name: str) -> Path:
        """Everything on disk of one host."""
        return self.hosts / name

    def host_place(self, name: str) -> Place:
        """The cgroups which hold every process of one host."""
        return Place(self.cgroup / name)

    @property
    def switch_place(self) -> Place:
        """Holds the one process that keeps the switch's namespace alive."""
        return Place(self.cgroup / "_switch")

    @property
    def external_place(self) -> Place:
        """Holds the one process that keeps the external machine's namespaces alive."""
        return Place(self.cgroup / "_external")


def find_layout(directory: Path | None = None, cache: Path | None = None) -> Layout:
    """The lab that REMEDY_LAB_DIR and REMEDY_LAB_CACHE name, or the arguments, or the defaults.

    Raises LabError when a directory cannot be used in mounts or the unified cgroup hierarchy is missing.
    """
    lab = _usable(directory or Path(os.environ.get("REMEDY_LAB_DIR") or DEFAULT_LAB_DIRECTORY))
    store = _usable(cache or Path(os.environ.get("REMEDY_LAB_CACHE") or DEFAULT_CACHE_DIRECTORY))
    return Layout(lab, store, unified_hierarchy() / f"remedy-lab-{tag_of(lab)}")


def tag_of(directory: Path) -> str:
    """Eight hexadecimal digits that differ between two labs on one machine."""
    return hashlib.sha256(os.fsencode(directory)).hexdigest()[:8]


def check_host_name(name: str) -> str:
    """The name itself; LabError when it cannot be a host's name."""
    if name == "external" or not _HOST_NAME.fullmatch(name):
        raise LabError(
            f"{name!r} cannot be the name of a lab host",
            why="a name is a-z first, then a-z, 0-9 and '-', at most 31 characters, and not 'external'",
        )
    return name


def unified_hierarchy(mounts: Path = Path("/proc/self/mountinfo")) -> Path:
    """Where the cgroup2 hierarchy is mounted: /sys/fs/cgroup, or .../unified beside version 1."""
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return Path(before.split()[4])
    raise LabError(
        "the lab needs the unified cgroup hierarchy, which is not mounted",
        next_step="mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
    )


def _usable(directory: Path) -> Path:
    absolute = Path(os.path.realpath(directory))
    if _UNUSABLE_IN_MOUNTS.search(str(absolute)):
        raise LabError(
            f"{absolute} cannot hold a lab", why="overlay mounts cannot name paths with blanks, ',', ':' or '\\'"
        )
    return absolute
