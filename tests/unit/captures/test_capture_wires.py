"""Recordings of what the committed ones have not: macvlan, ipsets."""

from __future__ import annotations

import json

from captured import VARIANT, files

from remedy.captures.facts import load_capture
from remedy.captures.files import CaptureFiles


def changed(**contents: str) -> CaptureFiles:
    known = files(VARIANT)
    own = {name.replace("_", "-").replace("-json", ".json"): text.encode() for name, text in contents.items()}
    return CaptureFiles(known.name, {**known.content, **own})


def test_an_interface_on_a_macvlan_network_is_one() -> None:
    networks = files(VARIANT).document("networks.json")
    for network in networks:
        if network["Name"] == "plain":
            network["Driver"] = "macvlan"
    facts = load_capture(changed(networks_json=json.dumps(networks)))
    on_plain = {c.id for c in facts.containers if c.is_running and [e.network_name for e in c.endpoints] == ["plain"]}
    assert on_plain
    for space in facts.namespaces[1:]:
        kinds = {link.kind for link in space.links if link.name != "lo"}
        assert ("macvlan" in kinds) == bool(on_plain & set(space.containers)) or len(kinds) > 1


def test_recorded_ipsets_are_kept() -> None:
    content = {**files(VARIANT).content, "ipset-save.txt": b"create a hash:ip family inet\n"}
    assert load_capture(CaptureFiles(VARIANT, content)).firewall.ipsets[0].name == "a"
