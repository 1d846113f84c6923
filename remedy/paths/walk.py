"""How a connection travels: from a container, the host or outside, to an address and port, and back.

A pure function of the facts. The first packet is walked to its server, the first answer back to the client; a
connection that docker-proxy accepts is one of its own to the container, and walked as such.
"""

from __future__ import annotations

from dataclasses import replace

from remedy.facts.model import Address, HostFacts
from remedy.netfilter.evaluate import Firewall
from remedy.paths.clients import Client, Clients
from remedy.paths.question import Ground, Question
from remedy.paths.routing import UnknownRoute
from remedy.paths.rules_of_host import rule_tables
from remedy.paths.topology import Topology
from remedy.paths.verdict import Verdict
from remedy.spec.models import HostPort


class Datapath:
    """The datapath of one host. Building it is linear in the facts; each question then costs little."""

    def __init__(self, facts: HostFacts) -> None:
        self.facts = facts
        self.topology = Topology(facts)
        self.firewall = Firewall(rule_tables(facts), self.topology)
        self._ground = Ground(self.topology, self.firewall, Clients(self.topology))

    def connect(
        self, source: str, to: HostPort, *, client_address: Address | None = None, interface: str | None = None
    ) -> Verdict:
        """How `source` (a container's name, `host`, `external`) reaches `to`.

        `container:NAME` means the container where its name is one of these words. client_address: of an external
        client; without it, the host's default gateway stands for it. interface: where an external client comes in;
        without it, where its answers leave. Raises UnknownSourceError.
        """
        try:
            client = self._ground.clients.named(source, to, client_address)
        except UnknownRoute as unknown:
            # By which interface an outsider comes hangs on a routing rule that is not known.
            return Question(self._ground, Client(source, None), to, client_address).not_known(unknown)
        if interface is not None and client.space is None:
            client = replace(client, interface=interface)
        return Question(self._ground, client, to, client_address).answer()


def with_bridge_netfilter(facts: HostFacts, *, on: bool) -> HostFacts:
    """The same host with bridge-nf-call-iptables and -ip6tables on or off."""
    value = "1" if on else "0"
    names = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
    return facts.model_copy(update={"sysctls": {**facts.sysctls, **dict.fromkeys(names, value)}})
