"""Rewiring one haproxy on a lab host by its executor alone, with an action made by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remedy.host.commands import Completed
from remedy.lab import Host

PLACE = "/root/rewiring"
FAMILIAR = "172.17.0.1:500"  # how the servers are reached before: 172.17.0.1:5001, 172.17.0.1:5002

# Inside the host: makes the action from today's facts (once: a revert takes that of the apply), and carries it out.
# With KILL_AT=N it is killed, kill -9, just before its Nth touch of the host: a program, a request to the engine or to
# haproxy, a file opened for writing, a write in place, a signal.
DRIVER = """\
import json, os, signal, sys
from pathlib import Path

command, order, state = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
from remedy.actions.context import ActionContext
from remedy.actions.rewire_haproxy import RewireHaproxyAction
from remedy.errors import RemedyError
from remedy.facts.gathering import gather
from remedy.haproxy import backends, config_file, serving
from remedy.plan.actions import ConfigFile, FileContent, RewiredServer, RewireHaproxy

def made():
    facts = gather()
    ids = {one.name: one.id for one in facts.containers}
    container = order.get("container")
    haproxy = next(h for h in facts.haproxies if h.container_id == ids.get(container) and h.unit == order.get("unit"))
    files = []
    for file in haproxy.files if order.get("files", True) else ():
        raw = file.raw
        for old, new in order["edits"]:
            raw = raw.replace(old.encode(), new.encode())
        if raw != file.raw:
            path = file.host_path or file.path
            was = FileContent(path=path, raw=file.raw, mode=file.mode, uid=file.uid, gid=file.gid)
            files.append(ConfigFile(path=file.path, original=was, content=was.model_copy(update={"raw": raw}),
                                    device=file.device, inode=file.inode))
    servers = [RewiredServer(file="", line=1, container_id=ids[s["container"]], **s) for s in order["servers"]]
    sockets = [s.address for s in haproxy.sockets if s.level == "admin"]
    return RewireHaproxy(id="r", summary="s", reason="r", before="", after="", inverse="", container=container,
        container_id=ids.get(container), unit=order.get("unit"), network=order["network"], files=tuple(files),
        servers=tuple(servers), how=order["how"], master_socket=haproxy.master_socket,
        runtime_socket=sockets[0] if sockets else None)

notes = []
context = ActionContext.for_host("unix:///var/run/docker.sock", Path("/var/lib/remedy"), notes.append)
saved = json.loads(state.read_text()) if state.exists() else None
if saved is None or command == "plan":
    saved = {"action": made().model_dump(mode="json")}
    if command == "plan":
        state.write_text(json.dumps(saved))
        sys.exit()
action = RewireHaproxy.model_validate(saved["action"]).model_copy(update={"joined": order.get("joined")})
executor = RewireHaproxyAction(action, context)
if "undo" not in saved:
    saved["undo"] = executor.undo_data()
    state.write_text(json.dumps(saved))

# A test of what never comes need not wait as long as an operator would.
backends.WAIT_SECONDS = order.get("wait", backends.WAIT_SECONDS)
serving.wait_until_taken_over.__kwdefaults__["seconds"] = order.get("wait", serving.TAKE_OVER_SECONDS)

seen, at = 0, int(os.environ.get("KILL_AT", "0"))
WRITES = os.O_WRONLY | os.O_RDWR

def touch(what):
    global seen
    seen += 1
    if seen == at:
        os.write(2, f"KILLED before {seen}: {what}\\n"[:300].encode())
        os.kill(os.getpid(), signal.SIGKILL)

def hook(event, arguments):
    is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if is_write or event in ("subprocess.Popen", "os.mkdir", "os.rmdir", "os.truncate", "socket.connect"):
        touch(f"{event} {arguments!r}")

def in_halves(descriptor, raw, position, write=config_file._write_at):
    half = len(raw) // 2
    write(descriptor, raw[:half], position)
    touch("the second half of a write")
    write(descriptor, raw[half:], position + half)
    touch("what follows a write")

config_file._write_at = in_halves
send = signal.pidfd_send_signal
def sending(*arguments):
    touch("signal")
    send(*arguments)
    touch("after signal")
signal.pidfd_send_signal = sending
sys.addaudithook(hook)
try:
    if command == "apply":
        executor.apply()
    elif command == "revert":
        executor.revert(saved["undo"])
        state.unlink()
except RemedyError as error:
    print(error)
    sys.exit(error.exit_code)
print(json.dumps({"notes": notes, "touches": seen, "is_applied": executor.is_applied()}))
"""


@dataclass(frozen=True, slots=True)
class Rewiring:
    """One haproxy's action on a host."""

    host: Host
    container: str
    how: str = "reload"
    files: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    backends: Sequence[str] = ("api-1", "api-2")

    def run(self, command: str, *, kill_at: int = 0) -> Completed:
        """Plan, apply or revert it."""
        self.host.run(["mkdir", "-p", PLACE])
        self.host.write_file(f"{PLACE}/driver.py", DRIVER)
        arguments = [command, json.dumps(self.order()), f"{PLACE}/{self.container}.json"]
        return self.host.run(
            ["env", f"KILL_AT={kill_at}", sys.executable, f"{PLACE}/driver.py", *arguments], timeout=120, check=False
        )

    def must(self, command: str) -> dict[str, Any]:
        """Run it; what it says when it succeeds."""
        done = self.run(command)
        assert done.status == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout or "{}")
        return answer

    def order(self) -> dict[str, Any]:
        """What the driver is told."""
        servers = [
            {
                "proxy": "api",
                "name": f"api{number}",
                "container": name,
                "host_before": "172.17.0.1",
                "port_before": 5000 + number,
                "host": name,
                "port": 8080,
            }
            for number, name in enumerate(self.backends, start=1)
        ]
        edits = [[f"{FAMILIAR}{number}", f"{name}:8080"] for number, name in enumerate(self.backends, start=1)]
        return {
            "container": self.container,
            "network": "lb",
            "edits": edits,
            "servers": servers,
            "how": self.how,
            "files": self.files,
            **self.options,
        }
