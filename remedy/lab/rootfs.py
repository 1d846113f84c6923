"""Builds the Debian root file systems of the hosts and of the container image, with mmdebstrap.

An engine's version is that of a Debian release: 20.10 in Debian 12, 26.1 in Debian 13, 28.5 in testing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from remedy.errors import CommandError, LabError
from remedy.host.commands import run_command
from remedy.lab.builds import Say, Workplace, build_once, heartbeat
from remedy.lab.cgroups import joining

_IMAGE_FILES = Path(__file__).parent / "image"
_BUILD_TIMEOUT_SECONDS = 1800.0

_COMMON_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "docker.io", "ca-certificates"),
    *("iptables", "nftables", "iproute2", "conntrack", "procps", "iputils-ping", "curl", "python3"),
)
# Of no use here, or harmful: they would show or change what belongs to the machine (suspend, debugfs, modules).
_MASKED_UNITS = (
    *("systemd-modules-load.service", "modprobe@.service", "systemd-pstore.service"),
    *("getty@tty1.service", "console-getty.service", "getty-static.service", "systemd-firstboot.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "sleep.target", "suspend.target", "hibernate.target", "hybrid-sleep.target"),
    *("dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount"),
    *("sys-fs-fuse-connections.mount", "proc-sys-fs-binfmt_misc.automount", "systemd-binfmt.service"),
)
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# Half of the image, and nothing that runs in a container needs it: copying the rest is quicker.
_DELETED_FROM_IMAGE = (
    *("var/lib/apt", "var/lib/dpkg", "var/cache", "usr/share/perl*", "usr/share/doc", "usr/share/zoneinfo"),
    *("usr/share/i18n", "usr/share/bash-completion", "usr/share/nginx", "usr/share/GeoIP"),
    *("usr/bin/perl*", "usr/lib/*/perl*", "usr/lib/*/libperl*", "usr/lib/*/gconv", "usr/lib/*/libdb-*"),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What mmdebstrap is asked for. A changed recipe has another key and is built anew."""

    suite: str
    variant: str
    packages: tuple[str, ...]
    revision: int = 3  # count up when what is done after mmdebstrap changes

    @property
    def key(self) -> str:
        """Names the result: the suite and a digest of everything that decides what comes out."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.suite}-{digest}"


HOST_RECIPES = {
    "20.10": Recipe("bookworm", "minbase", _COMMON_PACKAGES),
    "26.1": Recipe("trixie", "minbase", (*_COMMON_PACKAGES, "docker-cli", "docker-compose")),
    "28.5": Recipe("forky", "minbase", (*_COMMON_PACKAGES, "docker-cli", "docker-compose")),
}
IMAGE_RECIPE = Recipe("bookworm", "essential", ("haproxy", "nginx-light", "socat", "busybox"), revision=4)


def host_recipe(engine: str, packages: Iterable[str] = ()) -> Recipe:
    """The recipe of an engine's hosts. packages: what is wanted beside the usual; the order does not matter."""
    recipe = HOST_RECIPES[engine]
    more = sorted(set(packages) - set(recipe.packages))
    return replace(recipe, packages=(*recipe.packages, *more))


def host_rootfs(engine: str, cache: Path, say: Say, packages: Iterable[str] = ()) -> Path:
    """The root file system for hosts with an engine and these further packages, built when it is not there yet."""
    recipe = host_recipe(engine, packages)

    def make(workplace: Workplace) -> Path:
        root = workplace.directory / "root"
        _bootstrap(recipe, root, workplace, say, f"root file system for engine {engine} (Debian {recipe.suite})")
        _adapt_to_the_lab(root)
        return root

    return build_once(cache, "roots", recipe.key, make, say)


def image_archive(cache: Path, say: Say) -> Path:
    """The container image as a tar archive of its root, as `docker import` takes it."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_IMAGE_FILES.iterdir())))
    key = f"{IMAGE_RECIPE.key}-{digest.hexdigest()[:10]}.tar"

    def make(workplace: Workplace) -> Path:
        root = workplace.directory / "root"
        _bootstrap(IMAGE_RECIPE, root, workplace, say, "container image (haproxy, nginx, socat)")
        _delete_what_no_container_needs(root)
        _install_image_files(root)
        return _packed(root, workplace)

    return build_once(cache, "images", key, make, say)


def haproxy_archive(suite: str, cache: Path, say: Say) -> Path:
    """Another Debian's haproxy as an image of its own: 3.0 in trixie, 3.2 in forky. The lab's image has bookworm's."""
    recipe = Recipe(suite, "essential", ("haproxy",))

    def make(workplace: Workplace) -> Path:
        root = workplace.directory / "root"
        _bootstrap(recipe, root, workplace, say, f"container image (haproxy of Debian {suite})")
        _delete_what_no_container_needs(root)
        return _packed(root, workplace)

    return build_once(cache, "images", f"{recipe.key}.tar", make, say)


def _delete_what_no_container_needs(root: Path) -> None:
    for path in [path for pattern in _DELETED_FROM_IMAGE for path in root.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _packed(root: Path, workplace: Workplace) -> Path:
    archive = workplace.directory / "image.tar"
    pack = ["tar", "--numeric-owner", "-C", str(root), "-cf", str(archive), "."]
    run_command(joining(workplace.cgroup, *pack), timeout=120)
    return archive


def _adapt_to_the_lab(root: Path) -> None:
    for unit in _MASKED_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    # The journal survives a reboot, as on a real server.
    (root / "var/log/journal").mkdir(parents=True, exist_ok=True)


def _install_image_files(root: Path) -> None:
    (root / "lab").mkdir()
    for path in _IMAGE_FILES.iterdir():
        target = root / "lab" / path.name
        shutil.copyfile(path, target)
        target.chmod(0o755 if path.suffix == ".sh" else 0o644)
    (root / "usr/local/etc/haproxy").mkdir(parents=True, exist_ok=True)
    (root / "var/cache").mkdir(exist_ok=True)


def _bootstrap(recipe: Recipe, root: Path, workplace: Workplace, say: Say, text: str) -> None:
    log = workplace.directory / "log"
    log.touch()
    command = [
        *("mmdebstrap", f"--variant={recipe.variant}", "--mode=root", "--format=directory"),
        *("--components=main", f"--include={','.join(recipe.packages)}", f"--logfile={log}"),
        # The Release file of testing may be past its date on a mirror's snapshot.
        *('--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=APT::Install-Recommends "false"'),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        *(recipe.suite, str(root), *debian_mirror()),
    ]
    try:
        with heartbeat(say, f"building the {text}", lambda: _last_line(log)):
            run_command(joining(workplace.cgroup, *command), timeout=_BUILD_TIMEOUT_SECONDS)
    except CommandError as error:
        raise LabError(
            f"the {text} could not be built",
            where="mmdebstrap",
            why=log.read_text(errors="replace").strip()[-2000:] or error.why,
            next_step="see that apt-get update works here, or name a mirror in REMEDY_LAB_MIRROR",
        ) from error


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - 300))
        lines = stream.read().decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.removeprefix("I: ").strip()[:80] for line in reversed(lines) if line.startswith("I: ")), "")


def debian_mirror(sources: Path = Path("/etc/apt")) -> list[str]:
    """Where packages come from: REMEDY_LAB_MIRROR, or what this Debian machine uses, or mmdebstrap's default ([])."""
    named = os.environ.get("REMEDY_LAB_MIRROR")
    if named:
        return [named]
    for path in [sources / "sources.list", *sorted((sources / "sources.list.d").glob("debian*"))]:
        found = _mirror_in(path)
        if found:
            return [found]
    return []


def _mirror_in(path: Path) -> str | None:
    """The first archive whose address ends in /debian, from a one-line or a deb822 file."""
    if not path.is_file():
        return None
    for line in path.read_text(errors="replace").splitlines():
        words = line.split("#")[0].split()
        if words[:1] not in (["deb"], ["URIs:"]):
            continue
        for word in words[1:]:
            if "://" in word and word.rstrip("/").endswith("/debian"):
                return word
    return None
