# Copyright: The remedy authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What happens in a playbook, as lines of JSON."""

from __future__ import annotations

DOCUMENTATION = r"""
name: events
type: stdout
short_description: Write what happens in a playbook as lines of JSON
version_added: 0.1.0
description:
  - One JSON object a line on standard output, for the program that runs ansible-playbook (C(remedy fleet)).
  - Of results only what remedy answered is written. What C(no_log) hides is not in it.
  - C(play) begins a play with its hosts, C(task) a task. C(result) is a host's answer, with its status
    C(ok), C(skipped), C(failed) or C(unreachable), and whether the playbook goes on all the same (C(ignored)).
    C(end) has the totals by host.
author:
  - The remedy authors (@docker-remedy)
"""

import json
import sys

from ansible.plugins.callback import CallbackBase

# Of remedy's modules, and the reason of any failure.
_KEPT = ("changes", "plan", "ansible_facts", "error", "exit_code", "next_step", "msg")

_FACTS = ("remedy", "remedy_file_name")


def _of(result, name):
    """Return a part of a result: ansible-core 2.19 has no more underscores."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, "_" + name)


def _item(result):
    answered = _of(result, "result")
    kept = {key: answered[key] for key in _KEPT if key in answered}
    if "ansible_facts" in kept:
        # Others' facts of a host can be megabytes.
        facts = kept["ansible_facts"]
        kept["ansible_facts"] = {key: facts[key] for key in _FACTS if key in facts}
    return kept


class CallbackModule(CallbackBase):
    """Takes the place of the output for people."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "docker_remedy.fleet.events"

    def _write(self, event, **told):
        # ASCII only: a host's name may be anything. Text that is no Unicode is no reason to end here.
        line = json.dumps(dict(told, event=event), default=str)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def v2_playbook_on_play_start(self, play):
        """Tell the hosts that the play is for, those that were lost before among them."""
        hosts = play.get_variable_manager()._inventory.get_hosts(play.hosts) if play.get_variable_manager() else []
        self._write("play", name=play.get_name(), hosts=[host.get_name() for host in hosts])

    def v2_playbook_on_task_start(self, task, is_conditional):  # noqa: ARG002
        """Tell the task."""
        self._write("task", name=task.get_name(), action=task.action)

    def v2_playbook_on_no_hosts_matched(self):
        """Tell that nobody was meant."""
        self._write("no_hosts")

    def _result(self, result, status, ignored=False):
        self._write(
            "result",
            host=_of(result, "host").get_name(),
            task=_of(result, "task").get_name(),
            action=_of(result, "task").action,
            status=status,
            ignored=bool(ignored),
            answer=_item(result),
        )

    def v2_runner_on_ok(self, result):
        """Tell an answer."""
        self._result(result, "ok")

    def v2_runner_on_skipped(self, result):
        """Tell that a host had nothing to do here."""
        self._result(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Tell a failure."""
        self._result(result, "failed", ignore_errors)

    def v2_runner_on_unreachable(self, result):
        """Tell that a host did not answer."""
        self._result(result, "unreachable", _of(result, "task").ignore_unreachable)

    def v2_playbook_on_stats(self, stats):
        """Tell the totals."""
        self._write("end", hosts={host: stats.summarize(host) for host in stats.processed})
