# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible's connection to a lab host, by its namespaces. For Molecule and tests; real hosts are reached by ssh."""

from __future__ import annotations

DOCUMENTATION = r"""
name: remedy_lab
short_description: Run tasks on a host of remedy's lab
description:
  - Enters the namespaces of a host that C(remedy lab up) has started on this machine. Needs root, and remedy in the
    Python that runs Ansible.
author: The remedy authors (@docker-remedy)
version_added: 0.1.0
options:
  host:
    description: Name of the lab host.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
  remote_user:
    description: User on the host who runs the commands. Nobody is asked for a password.
    default: root
    vars:
      - name: ansible_user
extends_documentation_fragment:
  - connection_pipelining
"""

import subprocess
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase

from remedy.errors import RemedyError
from remedy.lab import Host, find_host


class Connection(ConnectionBase):
    """Programs run inside all namespaces of the host, as root unless another user is named."""

    transport = "remedy_lab"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._host()
        self._connected = True
        return self

    def _host(self) -> Host:
        name = self.get_option("host")
        try:
            host = find_host(name)
            _ = host.init_pid
        except RemedyError as error:
            raise AnsibleConnectionFailure(f"lab host {name}: {error}") from error
        return host

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command line of Ansible's in the host's shell."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(["/bin/sh", "-c", cmd], in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the controller into the host."""
        super().put_file(in_path, out_path)
        try:
            with open(in_path, "rb") as file:  # noqa: PTH123
                content = file.read()
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"there is no file {in_path}") from error
        self._must_run(["/bin/sh", "-c", 'cat > "$1"', "sh", out_path], content)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the host to the controller."""
        super().fetch_file(in_path, out_path)
        content = self._must_run(["cat", "--", in_path])
        with open(out_path, "wb") as file:  # noqa: PTH123
            file.write(content)

    def close(self) -> None:
        """Nothing is kept open between two commands."""
        self._connected = False

    def reset(self) -> None:
        """Look the host up anew: it may have been rebooted."""
        self.close()
        self._connect()

    def _must_run(self, arguments: list[str], stdin: bytes | None = None) -> bytes:
        status, output, errors = self._run(arguments, stdin)
        if status != 0:
            raise AnsibleError(f"{arguments[0]} ended with {status}: {errors.decode(errors='replace')}")
        return output

    def _run(self, arguments: list[str], stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
        user = self.get_option("remote_user")
        arguments = arguments if user == "root" else ["runuser", f"--user={user}", "--", *arguments]
        command: Any = self._host().command(arguments)
        done = subprocess.run(command, input=stdin or b"", capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr
