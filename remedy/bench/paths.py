"""How long the packet walk takes for many questions on a large host; no host is needed, only its facts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from remedy.bench.large_host import FIRST_PORT, GATEWAY, HOST_ADDRESS, SERVER_PORT, count_rules, large_host
from remedy.facts.model import HostFacts
from remedy.paths.walk import Datapath
from remedy.spec.models import HostPort

PROMISED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PathsResult:
    """What was asked, and how long it took: to build the model once, and for all questions."""

    containers: int
    rules: int
    questions: int
    build_seconds: float
    seconds: float
    ways: tuple[tuple[str, int], ...]

    @property
    def keeps_promise(self) -> bool:
        """Whether the questions took as long as promised at most, the model's building included."""
        return self.build_seconds + self.seconds <= PROMISED_SECONDS


def measure_paths(containers: int, rules: int, questions: int) -> PathsResult:
    """Make the facts, ask the questions, each with its own client and target, and stop the time."""
    facts = large_host(containers, rules)
    asked = list(_questions(facts, questions))
    began = time.perf_counter()
    datapath = Datapath(facts)
    built = time.perf_counter()
    verdicts = [datapath.connect(source, to) for source, to in asked]
    ended = time.perf_counter()
    ways = Counter(f"{verdict.via} {verdict.failure or ''}".strip() for verdict in verdicts)
    return PathsResult(
        containers=len(facts.containers),
        rules=count_rules(facts),
        questions=len(asked),
        build_seconds=built - began,
        seconds=ended - built,
        ways=tuple(ways.most_common()),
    )


def paths_lines(result: PathsResult) -> Sequence[str]:
    """The figures, and whether they are as promised."""
    total = result.build_seconds + result.seconds
    word = "as promised" if result.keeps_promise else "TOO SLOW"
    return (
        f"{result.containers} containers, {result.rules} rules",
        f"{result.build_seconds:.2f} s to build the model, {result.seconds:.2f} s for {result.questions} questions "
        f"({result.seconds / result.questions * 1e6:.0f} us each)",
        "ways: " + ", ".join(f"{count} {way}" for way, count in result.ways),
        f"{total:.2f} s of {PROMISED_SECONDS:g} s: {word}",
    )


def _questions(facts: HostFacts, count: int) -> Iterator[tuple[str, HostPort]]:
    """From outside, the host and containers; to published ports, gateways and containers, in turns."""
    names = [container.name for container in facts.containers]
    addresses = [_address(facts, number) for number in range(len(names))]
    gateways: list[IPv4Address] = [
        gateway for network in facts.networks for gateway in network.gateways if isinstance(gateway, IPv4Address)
    ]
    for number in range(count):
        server, client = number * 7 % len(names), names[number * 13 % len(names)]
        published = FIRST_PORT + server
        gateway = gateways[number % len(gateways)]
        yield (
            ("external", HostPort(address=HOST_ADDRESS, port=published)),
            ("host", HostPort(address=ip_address("127.0.0.1"), port=published)),
            ("host", HostPort(address=HOST_ADDRESS, port=published)),
            (client, HostPort(address=gateway, port=published)),
            (client, HostPort(address=HOST_ADDRESS, port=published)),
            (client, HostPort(address=addresses[server], port=SERVER_PORT)),
            (client, HostPort(address=GATEWAY, port=443)),
        )[number % 7]


def _address(facts: HostFacts, number: int) -> IPv4Address:
    interface = facts.containers[number].endpoints[0].ipv4
    assert interface is not None  # noqa: S101  # every container of the large host has one
    return interface.ip
