"""Whatever way a lab command ends, nothing of the lab is left: no process, mount, cgroup, link or directory."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remedy.lab.layout import ENGINES, find_layout, tag_of, unified_hierarchy
from remedy.lab.template import docker_template

pytestmark = pytest.mark.lab

REMEDY = [sys.executable, "-m", "remedy", "lab"]


class Machine:
    """Finds what belongs to one lab on this machine, on which others may work with labs of their own."""

    def __init__(self, lab: Path, cache: Path) -> None:
        self.lab = lab
        self.cache = cache
        self.environment = {**os.environ, "REMEDY_LAB_DIR": str(lab), "REMEDY_LAB_CACHE": str(cache)}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*REMEDY, *arguments], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def run(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run([*REMEDY, *arguments], env=self.environment, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def leftovers(self) -> list[str]:
        """Polled: the kernel takes namespaces apart a moment after their last process."""
        deadline = time.monotonic() + 5
        while (found := self._leftovers()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _leftovers(self) -> list[str]:
        found = [f"directory {path}" for path in (self.lab, self.cache / "building") if path.exists()]
        tags = (f"remedy-lab-{tag_of(self.lab)}", f"remedy-lab-build-{tag_of(self.cache)}")
        found += [f"cgroup {tag}" for tag in tags if (unified_hierarchy() / tag).exists()]
        for process in Path("/proc").glob("[0-9]*"):
            found += self._traces(process, tags)
        # The lab's links have these names, and none is ever in the machine's own namespace.
        links = [path.name for path in Path("/sys/class/net").iterdir()]
        found += [f"link {link}" for link in links if re.fullmatch(r"host\d+|external|lan", link)]
        return found

    def _traces(self, process: Path, tags: tuple[str, ...]) -> list[str]:
        """Of every process, so that a mount is found in whatever namespace it is."""
        try:
            groups = (process / "cgroup").read_text()
            mounts = (process / "mountinfo").read_text()
            environment = (process / "environ").read_bytes()
            name = f"process {process.name} {(process / 'cmdline').read_bytes().decode(errors='replace')}"
        except OSError:
            return []
        traces = []
        if any(tag in groups for tag in tags):
            traces.append(f"{name} in a cgroup of the lab")
        if str(self.lab) in mounts or str(self.cache / "building") in mounts:
            traces.append(f"{name} sees a mount of the lab")
        if f"REMEDY_LAB_DIR={self.lab}\0".encode() in environment:
            traces.append(f"{name} was started for the lab")
        return traces


def private_cache(directory: Path, *kinds: str) -> Path:
    """A cache of its own, in which nobody else builds; things of these kinds are there already."""
    shared = find_layout().cache
    for engine in ENGINES:
        docker_template(engine, shared, print)
    directory.mkdir()
    for kind in ("roots", "images", "python", "libraries", *kinds):
        (directory / kind).symlink_to(shared / kind)
    return directory


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "lab", private_cache(tmp_path / "cache", "templates"))
    yield machine
    machine.run("down", "--all")


@pytest.fixture
def building_machine(tmp_path: Path) -> Machine:
    """Has no template of /var/lib/docker yet."""
    return Machine(tmp_path / "lab", private_cache(tmp_path / "cache"))


def test_a_host_that_went_down_leaves_nothing(machine: Machine) -> None:
    machine.run("up", "h", "--engine", "26.1")
    assert machine._leftovers()
    machine.run("down", "h")
    assert machine.leftovers() == []


@pytest.mark.parametrize("engine", ["20.10", "28.5"])
def test_a_host_that_lived_leaves_nothing(machine: Machine, engine: str) -> None:
    machine.run("up", "h", "--engine", engine)
    machine.run("exec", "h", "--", "sh", "-c", "sleep 1000 > /dev/null 2>&1 & docker restart -t 0 dev1-api-1")
    machine.run("exec", "h", "--", "systemctl", "restart", "docker")
    shell = machine.start("exec", "h", "--", "sleep", "1000")
    machine.run("reboot", "h")
    machine.run("down", "--all")
    assert shell.wait(timeout=5) != 0
    assert machine.leftovers() == []


def test_an_interrupted_up_leaves_nothing_by_itself(machine: Machine) -> None:
    for moment in (0.4, 0.9, 1.6):
        process = machine.start("up", "h")
        time.sleep(moment)
        process.send_signal(signal.SIGINT)
        # -2: ^C came before remedy itself ran. 0: it came after the end, and the host is the operator's.
        code = process.wait(timeout=60)
        assert code in (130, -signal.SIGINT, 0)
        if code == 0:
            machine.run("down", "h")
        assert machine.leftovers() == [], f"after ^C at {moment} s"


def test_a_killed_up_leaves_nothing_after_prune(machine: Machine) -> None:
    began = time.monotonic()
    machine.run("up", "h")
    duration = time.monotonic() - began
    machine.run("down", "h")
    for number in range(15):
        moment = duration * (number + random.random()) / 15
        process = machine.start("up", "h")
        time.sleep(moment)
        process.kill()
        if process.wait() == 0:  # It was quicker than the measured one: then the host is the operator's.
            machine.run("down", "h")
        machine.run("prune")
        assert machine.leftovers() == [], f"after kill -9 at {moment} s"


def test_a_killed_down_leaves_nothing_after_prune(machine: Machine) -> None:
    for moment in (0.2, 0.25, 0.3, 0.35, 0.4):
        machine.run("up", "h", "--topology", "empty")
        process = machine.start("down", "h")
        time.sleep(moment)
        process.kill()
        process.wait()
        machine.run("prune")
        if machine.lab.exists():  # killed before it began: then the host is whole
            machine.run("exec", "h", "--", "docker", "ps")
            machine.run("down", "h")
        assert machine.leftovers() == [], f"after kill -9 at {moment} s"


def test_a_killed_template_build_leaves_nothing_after_prune(building_machine: Machine) -> None:
    for moment in (0.3, 0.6, 1.0, 1.5, 2.0, 2.5):
        process = building_machine.start("up", "h", "--topology", "empty")
        time.sleep(moment)
        process.kill()
        if process.wait() == 0:  # A quick machine was ready by then.
            building_machine.run("down", "h")
        building_machine.run("prune")
        assert building_machine.leftovers() == [], f"after kill -9 at {moment} s"


def test_a_killed_bootstrap_leaves_nothing_after_prune(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "lab", tmp_path / "cache")
    for moment in (1.0, 5.0):
        process = machine.start("up", "h", "--topology", "empty")
        time.sleep(moment)
        process.kill()
        process.wait()
        machine.run("prune")
        assert machine.leftovers() == [], f"after kill -9 at {moment} s"


def test_prune_keeps_hosts_that_are_in_use(machine: Machine) -> None:
    machine.run("up", "mine", "--topology", "empty")
    starting = machine.start("up", "starting", "--topology", "empty")
    time.sleep(0.8)
    assert "mine" not in machine.run("prune")
    assert starting.wait(timeout=60) == 0
    assert machine.run("exec", "mine", "--", "hostname") == "mine\n"
    assert machine.run("exec", "starting", "--", "hostname") == "starting\n"
    machine.run("down", "--all")
    assert machine.leftovers() == []


def test_two_labs_do_not_disturb_each_other(machine: Machine, tmp_path: Path) -> None:
    other = Machine(tmp_path / "other", machine.cache)
    machine.run("up", "h", "--topology", "empty")
    other.run("up", "h", "--topology", "empty")
    assert "10.98.0.2/24" in machine.run("exec", "h", "--", "ip", "-br", "address")
    assert "10.98.0.2/24" in other.run("exec", "h", "--", "ip", "-br", "address")
    machine.run("down", "--all")
    assert machine.leftovers() == []
    assert other.run("exec", "h", "--", "docker", "ps", "-q") == ""
    other.run("down", "--all")
    assert other.leftovers() == []
