#!/usr/bin/python
# Copyright: The remedy authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plan, apply, undo and confirm by the program remedy on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: remedy
short_description: Hold a Docker host's networking to a desired state
version_added: 0.1.0
description:
  - Runs the program C(remedy) on the host, and returns what it answers. The module decides nothing by itself.
  - remedy takes docker-proxy out of the path of connections, verifies by real connections that nothing stopped working,
    and puts everything back where something did.
options:
  state:
    description:
      - V(planned) shows what would change, and changes nothing.
      - V(applied) makes the change. With O(confirm_within) it undoes itself unless V(confirmed) follows in time.
      - V(confirmed) keeps a change that waits for it.
      - V(rolled_back) undoes the last run, or O(run).
    type: str
    choices: [planned, applied, confirmed, rolled_back]
    default: applied
  spec:
    description:
      - The desired state, as in remedy.yaml. It is not kept on the host; the role of this collection does that.
      - Without O(spec) and O(config) it is C(/etc/remedy/remedy.yaml).
    type: dict
  config:
    description: Path of a remedy.yaml on the host.
    type: path
  confirm_within:
    description:
      - With O(state=applied), undo everything after this time, such as V(60s) or V(5m), unless it is confirmed.
      - A host that loses its controller, or its network, heals itself so; a reboot does not stop it.
    type: str
  output:
    description:
      - With O(state=planned), path on the host that the plan is saved to, for O(saved_plan). Not written in check mode.
    type: path
    version_added: 0.1.0
  saved_plan:
    description:
      - With O(state=applied), apply exactly this plan, and fail (6, stale) where the host is no longer the one that was
        planned. It is the content of a file that O(output) or C(remedy plan -o) has written, in base64.
      - In check mode the module tells whether the plan still fits.
    type: str
    version_added: 0.1.0
  run:
    description: With O(state=rolled_back), the run to undo. The last one by default.
    type: str
  force:
    description: With O(state=rolled_back), undo also over changes that others made to the same things since.
    type: bool
    default: false
  daemon_json:
    description: Path of the engine's configuration file, where it is not C(/etc/docker/daemon.json).
    type: path
  executable:
    description:
      - Path of the program. By default C(/opt/remedy/bin/remedy), or C(remedy) in the PATH.
    type: path
requirements:
  - remedy on the host, of the version of this collection (the role docker_remedy.fleet.remedy installs it)
notes:
  - Changing and planning a host needs root, so use C(become).
  - The file contents that are part of a plan are left out of RV(plan); daemon.json can hold passwords.
  - A plan shows the addresses, names and probes of the host. Use C(no_log) where these must not be seen.
attributes:
  check_mode:
    description: Shows the plan, or the steps of the rollback, and changes nothing.
    support: full
  diff_mode:
    description: One entry for each touch of the host, and one for the ways of the connections.
    support: full
  platform:
    description: Linux with systemd.
    platforms: linux
    support: full
author:
  - The remedy authors (@docker-remedy)
"""

EXAMPLES = r"""
- name: See what would change
  docker_remedy.fleet.remedy:
    state: planned
  register: seen

- name: Take docker-proxy out of the path, undone by itself unless confirmed
  docker_remedy.fleet.remedy:
    state: applied
    confirm_within: 5m
    spec:
      version: 1
      load_balancer: dev1-haproxy-1
      backends:
        - containers: [dev1-api-1, dev1-api-2]
          port: 8080
      remedies:
        userland_proxy: false
      policy:
        restart_engine: true

- name: Keep it
  docker_remedy.fleet.remedy:
    state: confirmed

- name: Apply the plan that was saved and read
  docker_remedy.fleet.remedy:
    state: applied
    saved_plan: "{{ lookup('ansible.builtin.file', 'plans/' ~ inventory_hostname ~ '.plan') | b64encode }}"

- name: Put everything back
  docker_remedy.fleet.remedy:
    state: rolled_back
"""

RETURN = r"""
changes:
  description: Whether the plan has anything to do. C(changed) is false where nothing was done.
  returned: state is planned or applied
  type: bool
  sample: true
plan:
  description: The plan, as C(remedy plan --format json) shows it, without the contents of files.
  returned: state is planned or applied
  type: dict
actions:
  description: Every touch of the host, in order.
  returned: state is planned or applied
  type: list
  elements: dict
  sample:
    - id: userland_proxy
      kind: userland_proxy
      summary: the engine restarts without docker-proxy
paths:
  description: How each known connection travels before and after.
  returned: state is planned or applied
  type: list
  elements: dict
  sample:
    - from: dev1-haproxy-1
      to: 172.17.0.1:5001
      before: docker-proxy
      after: dnat
refusals:
  description: Why remedy refuses the plan. The module fails where there are any, unless O(state=planned).
  returned: state is planned or applied
  type: list
  elements: dict
steps:
  description: What a rollback would undo, or has undone, newest first.
  returned: state is rolled_back, in check mode or diff mode
  type: list
  elements: str
run:
  description: The name of the run, for C(remedy history) and O(run).
  returned: when something was run
  type: str
  sample: 20261104-101500-3fa9
result:
  description: How the run ended.
  returned: when something was run
  type: str
  sample: applied
deadline:
  description: When a change that waits for confirmation undoes itself.
  returned: when something was run
  type: str
run_actions:
  description: What became of each action.
  returned: when something was run
  type: list
  elements: dict
probes:
  description: Each connection that was tried, before and after.
  returned: when something was run
  type: list
  elements: dict
leftover:
  description: The commands that finish the job by hand, where not everything could be put back.
  returned: when something was run
  type: list
  elements: str
log:
  description: Path of the run's journal on the host.
  returned: when something was run
  type: str
error:
  description: remedy's own error, with code, what, where, why, next and exit_code.
  returned: on failure
  type: dict
exit_code:
  description:
    - The exit code that remedy documents for this failure. 3 is rolled back, 5 locked, 6 stale, 7 refused, 8 waiting.
  returned: on failure
  type: int
  sample: 7
next_step:
  description: What to do now.
  returned: on failure
  type: str
"""

import base64
import binascii
import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.docker_remedy.fleet.plugins.module_utils import translation
from ansible_collections.docker_remedy.fleet.plugins.module_utils.program import Program

DEFAULT_CONFIG = "/etc/remedy/remedy.yaml"


class Work:
    """One call of the module."""

    def __init__(self, module):
        """module: with its options read."""
        self.module = module
        self.options = module.params
        self.program = Program(module)

    def planned(self):
        """Show the plan."""
        plan = self._plan(save_as=None if self.module.check_mode else self.options["output"])
        return dict(changed=False, **self._of_plan(plan))

    def applied(self):
        """Make the change, exactly as planned."""
        saved = f"{self._directory()}/plan"
        plan = self._plan(save_as=saved) if self.options["saved_plan"] is None else self._plan_from(saved)
        results = self._of_plan(plan)
        refused = translation.failure_of_refusals(plan)
        if refused is not None:
            self.program.fail(refused, **results)
        if self.module.check_mode:
            return dict(changed=plan["changes"], **results)
        return self._apply(saved, results)

    def confirmed(self):
        """Keep what waits."""
        waiting = translation.waits_for_confirmation(self.program.ask("history"))
        if self.module.check_mode:
            return {"changed": waiting is not None}
        report = self.program.ask("confirm")
        return self._finish(report, {}, changed=waiting is not None)

    def rolled_back(self):
        """Put everything back."""
        which = [] if self.options["run"] is None else [self.options["run"]]
        results = {}
        if self.module.check_mode or self.module._diff:
            steps = self.program.ask("rollback", *which, "--dry-run", *self._force())["steps"]
            results = {"steps": steps}
            if self.module._diff:
                results["diff"] = translation.steps_diff(steps)
            if self.module.check_mode:
                return dict(changed=bool(steps), **results)
        report = self.program.ask("rollback", *which, "--yes", *self._force(), *self._daemon_json())
        return self._finish(report, results)

    def _apply(self, plan_file, results):
        arguments = ["apply", plan_file, "--yes"]
        if self.options["confirm_within"] is not None:
            arguments += ["--confirm-within", self.options["confirm_within"]]
        return self._finish(self.program.ask(*arguments, *self._daemon_json()), results)

    def _finish(self, report, results, changed=None):
        state = self.options["state"]
        results.update(translation.run_results(report))
        results["changed"] = translation.run_changed(report, state) if changed is None else changed
        if translation.run_failed(report, state):
            results["changed"] = translation.run_changed(report, state)
            self.program.fail(translation.failure_of_run(report), **results)
        self._warn(report)
        return results

    def _plan(self, save_as=None):
        arguments = ["plan", "--config", self._config(), *self._daemon_json()]
        if save_as is not None:
            arguments += ["--output", save_as]
        plan = self.program.ask(*arguments)
        self._warn(plan)
        return plan

    def _plan_from(self, path):
        """Return the saved plan, written to this path, if it still fits the host. Ends the module where it does not."""
        try:
            content = base64.b64decode(self.options["saved_plan"], validate=True)
        except (ValueError, binascii.Error) as error:
            self.program.fail(translation.no_saved_plan(str(error)))
        self._write(path, content)
        plan = self.program.ask("apply", path, "--dry-run", *self._daemon_json())
        self._warn(plan)
        return plan

    def _of_plan(self, plan):
        results = translation.plan_results(plan)
        if self.module._diff:
            results["diff"] = translation.plan_diff(plan)
        return results

    def _config(self):
        if self.options["spec"] is None:
            return self.options["config"] or DEFAULT_CONFIG
        path = self.program.inline_spec = f"{self._directory()}/remedy.yaml"
        self._write(path, json.dumps(self.options["spec"], ensure_ascii=False).encode())  # JSON is YAML
        return path

    @staticmethod
    def _write(path, content):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def _directory(self):
        """Return a directory that only this user can read; the module's own temporary directory goes with it."""
        return tempfile.mkdtemp(prefix="remedy-", dir=self.module.tmpdir)

    def _force(self):
        return ["--force"] if self.options["force"] else []

    def _daemon_json(self):
        return [] if self.options["daemon_json"] is None else ["--daemon-json", self.options["daemon_json"]]

    def _warn(self, described):
        for warning in translation.warnings_of(described):
            self.module.warn(warning)


def main():
    """Read the options and do what the state asks."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["planned", "applied", "confirmed", "rolled_back"],
                "default": "applied",
            },
            "spec": {"type": "dict"},
            "config": {"type": "path"},
            "confirm_within": {"type": "str"},
            "output": {"type": "path"},
            "saved_plan": {"type": "str", "no_log": True},
            "run": {"type": "str"},
            "force": {"type": "bool", "default": False},
            "daemon_json": {"type": "path"},
            "executable": {"type": "path"},
        },
        mutually_exclusive=[("spec", "config"), ("spec", "saved_plan"), ("config", "saved_plan")],
        supports_check_mode=True,
    )
    work = Work(module)
    module.exit_json(**getattr(work, module.params["state"])())


if __name__ == "__main__":
    main()
