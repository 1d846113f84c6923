# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what `remedy --format json` answers to what an Ansible module returns. Pure: nothing is run or read here."""

from __future__ import annotations

import re

# Modules run under the Python that Ansible finds on the host, which may be older than remedy's own.
COLLECTION_VERSION = "0.1.0"
PLAN_FORMAT_VERSION = 1

_SUCCEEDED = ("applied", "pending", "nothing")
_BY_STATE = {"applied": _SUCCEEDED, "confirmed": _SUCCEEDED, "rolled_back": ("rolled-back", "nothing")}
_CHANGED = ("applied", "pending")


def version_of(text):
    """Return the version in the output of `remedy --version`, or None."""
    found = re.match(r"remedy (\d+\.\d+\S*)\s*$", text)
    return found.group(1) if found else None


def is_compatible(version):
    """Whether the collection knows what this version of remedy answers: the same major and minor number."""
    return version.split(".")[:2] == COLLECTION_VERSION.split(".")[:2]


def not_compatible(version, executable):
    """Return the failure for a remedy of another version."""
    return failure(
        "remedy {} is on this host, and this collection speaks with {}".format(version or "?", COLLECTION_VERSION),
        where=executable,
        why="what remedy answers may differ from one version to the next",
        next_step="run the role docker_remedy.fleet.remedy, or install the collection of that version",
    )


def not_installed(executable):
    """Return the failure for a host without remedy."""
    return failure(
        "remedy is not installed on this host",
        where=executable,
        next_step="run the role docker_remedy.fleet.remedy, or name the program with `executable`",
    )


def no_saved_plan(why):
    """Return the failure for a saved plan that cannot even be unpacked."""
    return failure("this is no saved plan", where="saved_plan", why=why, next_step="plan.yml with remedy_plans_dir")


def no_answer(arguments, code, output, errors):
    """Return the failure for a remedy that did not answer in JSON."""
    said = (errors.strip() or output.strip()).splitlines()
    return failure(
        "remedy did not answer as this collection expects",
        where=" ".join(arguments),
        why="; ".join(said[-3:]) or "it wrote nothing",
        next_step="run this command on the host; a remedy that does not start is put right by the role",
        exit_code=code or 1,
    )


def failure(what, where=None, why=None, next_step=None, exit_code=1, code="error"):
    """Return an error in the form of remedy's own."""
    return {"code": code, "what": what, "where": where, "why": why, "next": next_step, "exit_code": exit_code}


def failure_of_run(report):
    """Return the error of a run's report that did not end well."""
    leftover = report.get("leftover") or []
    next_step = "finish by hand, as root, in this order:\n" + "\n".join(leftover) if leftover else None
    return failure(
        "remedy {} ended as {}".format(report.get("command", "apply"), report["result"]),
        where="run {}".format(report["run"]) if report.get("run") else None,
        why=_reasons(report) or None,
        next_step=next_step or ("the log on the host: {}".format(report["log"]) if report.get("log") else None),
        exit_code=report["exit_code"],
        code=report["result"],
    )


def _reasons(report):
    reasons = [report.get("message") or ""]
    reasons += [
        "{}: {}".format(action["summary"], action["error"]) for action in _list(report, "actions") if action["error"]
    ]
    reasons += [
        "{} -> {} worked before and failed after the change: {}".format(
            probe["from"], probe["to"], probe["after_detail"]
        )
        for probe in _list(report, "probes")
        if probe["before"] is True and probe["after"] is False
    ]
    return "\n".join(reason for reason in reasons if reason)


def failure_of_refusals(plan):
    """Return the error for a plan that remedy refuses, or None."""
    refusals = plan["refusals"]
    if not refusals:
        return None
    cures = [refusal["cure"] for refusal in refusals if refusal.get("cure")]
    return failure(
        "the plan is refused as unsafe; nothing was changed",
        why="\n".join("{}: {}".format(refusal["what"], refusal["why"]) for refusal in refusals),
        next_step="\n".join(dict.fromkeys(cures)) or None,
        exit_code=7,
        code="refused",
    )


def message(error):
    """Return an error as the lines that a person reads."""
    rows = [error["what"]]
    rows += [f"{name}: {error[name]}" for name in ("where", "why", "next") if error.get(name)]
    return "\n".join(rows)


def in_words_of_the_task(value, path):
    """Return an error about an inline spec that names the option, and not the file that the module made of it."""
    if isinstance(value, dict):
        return {key: in_words_of_the_task(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [in_words_of_the_task(item, path) for item in value]
    return value.replace(path, "spec") if isinstance(value, str) else value


def without_contents(value):
    """Return a plan without the bytes of files: daemon.json can hold the password of a proxy or a registry."""
    if isinstance(value, dict):
        return {key: without_contents(item) for key, item in value.items() if key != "raw"}
    if isinstance(value, list):
        return [without_contents(item) for item in value]
    return value


def plan_results(plan):
    """Return what a module says about a plan."""
    return {
        "plan": without_contents(plan),
        "changes": plan["changes"],
        "actions": [_action(action) for action in plan["actions"]],
        "paths": plan["paths"],
        "refusals": plan["refusals"],
    }


def _action(action):
    return {key: action[key] for key in ("id", "kind", "summary", "reason", "before", "after", "disruption")}


def plan_diff(plan):
    """Return Ansible's diff of a plan: an entry for each touch of the host, and one for the ways of connections."""
    entries = [
        _difference(action["summary"], action["before"], action["after"])
        for action in plan["actions"]
        if action["before"] != action["after"]
    ]
    moved = [path for path in plan["paths"] if path["before"] != path["after"]]
    if moved:
        before, after = ("\n".join(_way(path, when) for path in moved) for when in ("before", "after"))
        entries.append(_difference("ways of connections", before, after))
    return entries


def _way(path, when):
    return "{} -> {} by {}".format(path["from"], path["to"], path[when])


def steps_diff(steps):
    """Return Ansible's diff of a rollback."""
    return [_difference("undone, in this order", "\n".join(steps), "")] if steps else []


def _difference(header, before, after):
    return {"before_header": header, "after_header": header, "before": _lines(before), "after": _lines(after)}


def _lines(text):
    return text + "\n" if text else ""


def run_results(report):
    """Return what a module says about a run."""
    keys = ("run", "result", "deadline", "probes", "leftover", "log")
    results = {key: report.get(key) for key in keys}
    results["run_actions"] = report.get("actions") or []
    return results


def run_failed(report, state):
    """Whether a run did not end as the wanted state asks. A rolled back apply has failed; a rollback has not."""
    return report["exit_code"] != 0 or report["result"] not in _BY_STATE[state]


def run_changed(report, state):
    """Whether the host is another one after this run."""
    if report["result"] == "rollback-incomplete":
        return True
    return report["result"] == "rolled-back" if state == "rolled_back" else report["result"] in _CHANGED


def waits_for_confirmation(history):
    """Return the name of the run that waits to be confirmed, or None."""
    return next((entry["run"] for entry in history["runs"] if entry["result"] == "pending"), None)


def warnings_of(described):
    """Return the warnings of a plan or a run as sentences."""
    return [
        item if isinstance(item, str) else "{}: {}".format(item["what"], item["detail"])
        for item in _list(described, "warnings")
    ]


def _list(described, key):
    return described.get(key) or []


def summary_of(facts, status):
    """Return the few facts of a host that playbooks ask for, out of `remedy facts` and `remedy status`."""
    host, engine, firewall = facts["host"], facts["engine"], facts["firewall"]
    return {
        "hostname": host["hostname"],
        "machine_id": host["machine_id"],
        "engine_version": engine["version"],
        "userland_proxy": engine["userland_proxy"],
        "live_restore": engine["live_restore"],
        "firewall_backend": firewall["backend"],
        "containers": len(facts["containers"]),
        "docker_proxy_processes": status["docker_proxy_processes"],
        "docker_proxy_connections": status["docker_proxy_connections"],
        "state": status["state"],
        "run": status["run"],
        "drift": status["drift"],
    }
