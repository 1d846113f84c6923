"""Playing the playbooks as an operator does, from a controller that is this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
SPEC: dict[str, Any] = {
    "version": 1,
    "load_balancer": "dev1-haproxy-1",
    "backends": [{"containers": ["dev1-api-1", "dev1-api-2", "dev1-api-3"], "port": 8080}],
    "remedies": {"userland_proxy": False},
    "policy": {"restart_engine": True},
}
CONNECTION = {"ansible_connection": "remedy_lab", "ansible_become_method": "ansible.builtin.su"}


def wheels_for(python: str, directory: Path) -> Path:
    """What `make dist` collects for one version of Python, in a directory that is made: itself."""
    command = [sys.executable, "-m", "remedy.wheels", str(directory), "--checkout", str(REPOSITORY), "--python", python]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    return directory


class Controller:
    """An inventory, and the playbooks of the checkout played against it."""

    def __init__(self, directory: Path, hosts: Mapping[str, Mapping[str, Any]], **variables: Any) -> None:
        """hosts: name in the inventory -> its variables. variables: of all hosts."""
        self.directory = directory
        self.inventory = directory / "hosts.json"
        everyone = {**CONNECTION, **variables}
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": everyone}}))

    def start(self, playbook: str | Path, *options: str, **variables: Any) -> subprocess.Popen[str]:
        """Start a playbook: the name of a shipped one, or a file. variables: as --extra-vars."""
        file = playbook if isinstance(playbook, Path) else REPOSITORY / f"playbooks/{playbook}.yml"
        return subprocess.Popen(
            [
                *(PROGRAMS / "ansible-playbook", "-i", self.inventory, file, *options),
                *(("--extra-vars", json.dumps(variables)) if variables else ()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.directory,
            env=self._environment(),
            start_new_session=True,
        )

    def play(self, playbook: str | Path, *options: str, **variables: Any) -> str:
        """Play to its end, and return what was written. A playbook that fails fails the test."""
        status, output = self.try_to_play(playbook, *options, **variables)
        assert status == 0, output[-8000:]
        return output

    def fail_to_play(self, playbook: str | Path, *options: str, **variables: Any) -> str:
        """Play a playbook that must not succeed, and return what was written."""
        status, output = self.try_to_play(playbook, *options, **variables)
        assert status != 0, output[-8000:]
        return output

    def try_to_play(self, playbook: str | Path, *options: str, **variables: Any) -> tuple[int, str]:
        """Play to its end, however it ends."""
        playing = self.start(playbook, *options, **variables)
        try:
            output, _ = playing.communicate(timeout=300)
        finally:
            if playing.poll() is None:
                os.killpg(playing.pid, signal.SIGKILL)
        return playing.returncode, output

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "ANSIBLE_CONNECTION_PLUGINS": str(REPOSITORY / "molecule/plugins/connection"),
            "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "playbooks/collections"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.directory / "tmp"),
        }


def changed(output: str, name: str) -> int:
    """How many tasks have changed a host, from Ansible's recap."""
    found = re.search(rf"^{re.escape(name)} .*changed=(\d+)", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1])


@contextmanager
def health_check(on_first_question: Callable[[], None]) -> Iterator[str]:
    """The operator's own check, which apply.yml asks of an armed host before it confirms: its URL.

    It always says that all is well. With the first question something happens, so a test is in the middle of a rollout
    without having to guess when that is.
    """
    first = threading.Event()
    over = threading.Event()

    class Check(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if first.is_set():
                over.wait(60)
            else:
                first.set()
                on_first_question()
                over.set()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Check)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
