"""The page's tables are the planner's model, which other tests compare with real engines."""

from __future__ import annotations

import gzip
from ipaddress import ip_address
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest
from command_blocks import REPOSITORY

from remedy.facts.model import Address, HostFacts
from remedy.paths.published import PublishedPort, published_ports
from remedy.paths.reach import Place, Setting, reach

PAGE = REPOSITORY / "docs" / "explanation" / "who-reaches-what.md"
FACTS = Path(__file__).parents[1] / "unit" / "demo" / "data" / "facts-under-load-28.5.json.gz"

ON = Setting(engine=(28, 5), userland_proxy=True, bridge_nf=True)
SETTINGS = {
    "With docker-proxy": ON,
    "Without": ON.with_proxy(False),
    "With remedy's hairpin rules, and docker-proxy still there": Setting((28, 5), True, True, redirected=True),
}
PLACES = {
    "host": Place.HOST,
    "the same bridge": Place.SAME_BRIDGE,
    "itself": Place.ITSELF,
    "another network": Place.OTHER_BRIDGE,
    "another machine": Place.EXTERNAL,
}
ADDRESSES = {
    "127.0.0.1:P": "127.0.0.1",
    "[::1]:P": "::1",
    "gateway:P": "172.17.0.1",
    "its LAN address:P": "10.98.0.5",
    "LAN address:P": "10.98.0.5",
}


def rows() -> list[tuple[str, str, str, str, str]]:
    found = []
    for heading in SETTINGS:
        section = dropwhile(lambda line, heading=heading: line != f"## {heading}", PAGE.read_text().splitlines())
        next(section)
        for line in takewhile(lambda line: not line.startswith("## "), section):
            cells = [cell.strip() for cell in line.split("|")[1:-1]]
            if len(cells) == 4 and cells[0] in PLACES:
                found.append((heading, *cells))
    return found


@pytest.fixture(scope="module")
def port_of_family() -> dict[int, PublishedPort]:
    facts = HostFacts.model_validate_json(gzip.decompress(FACTS.read_bytes()))
    return {port.host_family: port for port in published_ports(facts) if port.port == 5001}


def test_the_tables_are_complete() -> None:
    counts = {heading: sum(row[0] == heading for row in rows()) for heading in SETTINGS}

    assert list(counts.values()) == [8, 8, 2]


@pytest.mark.parametrize(("heading", "place", "to", "way", "source"), rows())
def test_a_row_is_what_the_model_says(
    port_of_family: dict[int, PublishedPort], heading: str, place: str, to: str, way: str, source: str
) -> None:
    address: Address = ip_address(ADDRESSES[to])

    answer = reach(PLACES[place], address, port_of_family[address.version], SETTINGS[heading])

    assert (answer.via, answer.source) == (way, source)


@pytest.mark.parametrize("userland_proxy", [True, False])
def test_engine_29_reaches_over_networks(port_of_family: dict[int, PublishedPort], userland_proxy: bool) -> None:
    answer = reach(
        Place.OTHER_BRIDGE, ip_address("172.17.0.1"), port_of_family[4], Setting((29, 7), userland_proxy, True)
    )

    assert (answer.via, answer.source) == ("dnat", "gateway")


def test_without_bridge_netfilter_the_same_bridge_times_out(port_of_family: dict[int, PublishedPort]) -> None:
    answer = reach(Place.SAME_BRIDGE, ip_address("172.17.0.1"), port_of_family[4], Setting((26, 1), False, False))

    assert answer.via == "none"
