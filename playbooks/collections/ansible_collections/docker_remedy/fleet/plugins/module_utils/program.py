# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program `remedy` on this host, as a module runs it."""

from __future__ import annotations

import json
import os

from ansible_collections.docker_remedy.fleet.plugins.module_utils import translation

DEFAULT_EXECUTABLE = "/opt/remedy/bin/remedy"


class Program:
    """Runs remedy with --format json. Ends the module with remedy's own words where it cannot be run or fails."""

    def __init__(self, module):
        """Find the program, and see that its version is one that the collection speaks with."""
        self.module = module
        self.inline_spec = None
        self.executable = self._find(module.params["executable"])
        self.version = self._version()

    def _find(self, named):
        if named is not None:
            if not os.access(named, os.X_OK):
                self.fail(translation.not_installed(named))
            return named
        if os.access(DEFAULT_EXECUTABLE, os.X_OK):
            return DEFAULT_EXECUTABLE
        return self.module.get_bin_path("remedy") or self.fail(
            translation.not_installed(f"{DEFAULT_EXECUTABLE}, and remedy in the PATH")
        )

    def _version(self):
        arguments = [self.executable, "--version"]
        code, output, errors = self._run(arguments)
        version = translation.version_of(output)
        if code != 0 or version is None:
            self.fail(translation.no_answer(arguments, code, output, errors))
        if not translation.is_compatible(version):
            self.fail(translation.not_compatible(version, self.executable))
        return version

    def _run(self, arguments):
        # In the root directory: a remedy.yaml that lies where the module happens to run is not meant.
        return self.module.run_command(arguments, cwd="/", environ_update={"LC_ALL": "C.UTF-8", "NO_COLOR": "1"})

    def ask(self, *arguments):
        """Return remedy's JSON answer. Ends the module where remedy answers with an error."""
        command = [self.executable]
        command += arguments
        command += ["--format", "json"]
        code, output, errors = self._run(command)
        try:
            answer = json.loads(output)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.fail(translation.no_answer(command, code, output, errors))
        if isinstance(answer.get("error"), dict):
            self.fail(answer["error"])
        return answer

    def fail(self, error, **results):
        """End the module with an error in remedy's form."""
        results.setdefault("changed", False)
        if self.inline_spec is not None:
            error = translation.in_words_of_the_task(error, self.inline_spec)
        self.module.fail_json(
            msg=translation.message(error),
            error=error,
            exit_code=error["exit_code"],
            next_step=error["next"],
            **results,
        )
