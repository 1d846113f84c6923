"""Real Docker hosts in namespaces: throwaway machines for tests, demos and trying a change."""

from remedy.lab.host import External, Host
from remedy.lab.layout import ENGINES, FIREWALLS, Layout, find_layout
from remedy.lab.lifecycle import all_hosts, find_host, lab_up, prune, reboot_host, release, take_all_down, take_down
from remedy.lab.topology import Topology
from remedy.lab.topology_files import load_topology

__all__ = [
    "ENGINES",
    "FIREWALLS",
    "External",
    "Host",
    "Layout",
    "Topology",
    "all_hosts",
    "find_host",
    "find_layout",
    "lab_up",
    "load_topology",
    "prune",
    "reboot_host",
    "release",
    "take_all_down",
    "take_down",
]
