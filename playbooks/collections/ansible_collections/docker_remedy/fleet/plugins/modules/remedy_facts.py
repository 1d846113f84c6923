#!/usr/bin/python
# Copyright: The remedy authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the program remedy sees of the host, as Ansible facts."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: remedy_facts
short_description: See a Docker host's networking as remedy does
version_added: 0.1.0
description:
  - Runs C(remedy facts) and C(remedy status) on the host, and returns what playbooks ask for as the fact
    RV(ansible_facts.remedy).
  - Reads only.
options:
  everything:
    description:
      - Return also RV(seen), all that C(remedy facts) sees. It names containers, addresses and connections, holds the
        text of daemon.json, and can be megabytes on a large host.
    type: bool
    default: false
  config:
    description:
      - Path of a remedy.yaml on the host, for the drift from it. C(/etc/remedy/remedy.yaml) by default, if it is there.
    type: path
  executable:
    description:
      - Path of the program. By default C(/opt/remedy/bin/remedy), or C(remedy) in the PATH.
    type: path
requirements:
  - remedy on the host, of the version of this collection (the role docker_remedy.fleet.remedy installs it)
attributes:
  check_mode:
    description: The module changes nothing.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
  facts:
    description: Returns the fact C(remedy).
    support: full
  platform:
    description: Linux with systemd.
    platforms: linux
    support: full
author:
  - The remedy authors (@docker-remedy)
"""

EXAMPLES = r"""
- name: See the hosts
  docker_remedy.fleet.remedy_facts:

- name: Say which of them still use docker-proxy
  ansible.builtin.debug:
    msg: "{{ ansible_facts.remedy.docker_proxy_processes }} docker-proxy processes"
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    remedy:
      description: What playbooks ask for.
      returned: always
      type: dict
      sample:
        version: 0.1.0
        hostname: web1
        engine_version: 28.5.2
        firewall_backend: iptables-nft
        userland_proxy: true
        live_restore: false
        containers: 4
        docker_proxy_processes: 9
        docker_proxy_connections: 120
        state: clean
        run: null
        drift: []
seen:
  description: All that remedy sees. A file with this text is what C(remedy plan --facts) reads.
  returned: O(everything=true)
  type: dict
error:
  description: remedy's own error, with code, what, where, why, next and exit_code.
  returned: on failure
  type: dict
exit_code:
  description: The exit code that remedy documents for this failure.
  returned: on failure
  type: int
next_step:
  description: What to do now.
  returned: on failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.docker_remedy.fleet.plugins.module_utils import translation
from ansible_collections.docker_remedy.fleet.plugins.module_utils.program import Program


def main():
    """Ask remedy twice."""
    module = AnsibleModule(
        argument_spec={
            "everything": {"type": "bool", "default": False},
            "config": {"type": "path"},
            "executable": {"type": "path"},
        },
        supports_check_mode=True,
    )
    program = Program(module)
    config = [] if module.params["config"] is None else ["--config", module.params["config"]]
    seen = program.ask("facts")
    summary = translation.summary_of(seen, program.ask("status", *config))
    results = {"ansible_facts": {"remedy": dict(summary, version=program.version)}}
    if module.params["everything"]:
        results["seen"] = seen
    module.exit_json(changed=False, **results)


if __name__ == "__main__":
    main()
