"""A watch: who was seen, under which name, how often; and what is kept of it."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import doctor_samples as host
import pytest

from remedy.doctor import watch as watching
from remedy.doctor.memory import remember
from remedy.doctor.sightings import Names, Sightings
from remedy.doctor.watch import Glimpse, Watcher
from remedy.errors import InputError
from remedy.facts.flow_events import NewFlow
from remedy.facts.model import Observed, Protocol, Watch
from remedy.facts.observed import FILE_NAME, load_observed, with_observed
from remedy.facts.sockets import RawSocket

NOW = datetime(2026, 11, 4, 10, 15, tzinfo=UTC)


def flow(source: str, to: str = "172.17.0.1", port: int = 5001) -> NewFlow:
    return NewFlow(Protocol.TCP, ip_address(source), ip_address(to), port)


def socket(
    source: str, source_port: int = 40000, to: str = "172.17.0.1", port: int = 5001, count: int = 1
) -> RawSocket:
    return RawSocket(Protocol.TCP, "ESTABLISHED", ip_address(to), port, ip_address(source), source_port, 7, count=count)


def seen(sightings: Sightings) -> dict[tuple[str, str], int]:
    return {(c.client, f"{c.to_address}:{c.to_port}"): c.count for c in sightings.take()}


@pytest.fixture
def sightings() -> Sightings:
    return Sightings(Names(host.operator()))


def test_clients_are_named_and_what_is_no_published_port_is_nobodys_business(sightings):
    sightings.add_flows(
        [
            (flow("172.17.0.2"), 3),
            (flow("127.0.0.1", "127.0.0.1", 5002), 1),
            (flow("203.0.113.9", str(next(iter(lan_addresses()))), 5003), 7),
            (flow("172.17.0.1", "172.17.0.3", 8080), 9),  # docker-proxy's own to the container
            (flow("172.17.0.2", "172.17.0.1", 22), 9),
        ],
        NOW,
    )
    counts = seen(sightings)
    assert counts["dev1-haproxy-1", "172.17.0.1:5001"] == 3
    assert counts["host", "127.0.0.1:5002"] == 1
    assert sorted(client for client, _ in counts) == ["dev1-haproxy-1", "external", "host"]


def lan_addresses():
    return [a.address.ip for a in host.operator().namespaces[0].addresses if a.interface == "eth0"]


def test_a_connection_that_is_announced_and_has_a_socket_is_counted_once(sightings):
    sightings.add_sockets([socket("172.17.0.2", 1)], NOW, are_announced=True)
    sightings.add_flows([(flow("172.17.0.2"), 2)], NOW)
    sightings.add_sockets([socket("172.17.0.2", n) for n in (1, 2, 3)], NOW, are_announced=True)
    assert seen(sightings) == {("dev1-haproxy-1", "172.17.0.1:5001"): 3}
    sightings.add_sockets([socket("172.17.0.2", 1)], NOW, are_announced=True)
    assert seen(sightings) == {("dev1-haproxy-1", "172.17.0.1:5001"): 0}


def test_what_is_over_already_is_seen_in_time_wait_from_either_end(sightings):
    client_end = RawSocket(Protocol.TCP, "TIME-WAIT", ip_address("::1"), 50000, ip_address("::1"), 5003, 0, count=1)
    sightings.add_ended([client_end, socket("172.17.0.4", port=5002, count=2)], NOW)
    sightings.add_ended([client_end, socket("172.17.0.4", port=5002, count=3)], NOW)
    assert seen(sightings) == {("host", "::1:5003"): 1, ("dev1-api-2", "172.17.0.1:5002"): 3}


def test_an_address_of_a_network_that_nobody_has_is_a_stranger_not_somebody_outside(sightings):
    sightings.add_flows([(flow("172.17.0.99"), 1)], NOW)
    assert sightings.strangers == {ip_address("172.17.0.99")}
    assert seen(sightings) == {("container:172.17.0.99", "172.17.0.1:5001"): 1}


def test_a_stranger_who_has_a_name_at_the_next_look_gets_it():
    facts = host.operator()
    before = facts.model_copy(update={"containers": tuple(c for c in facts.containers if c.name != "dev1-api-3")})
    sightings = Sightings(Names(before))
    sightings.add_flows([(flow("172.17.0.5"), 2)], NOW)
    sightings.name_again(Names(facts))
    assert seen(sightings) == {("dev1-api-3", "172.17.0.1:5001"): 2}
    assert not sightings.strangers


# --- the loop --------------------------------------------------------------------------------------------------------


class Host:
    """Sockets and announcements by script, and a clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.looks = 0
        self.interrupt_at: float | None = None
        self.saved: list[Observed] = []
        self.glimpses: list[Glimpse] = []
        monkeypatch.setattr(watching.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(watching.time, "sleep", self.sleep)
        monkeypatch.setattr(watching, "_listen", lambda _facts: None)
        monkeypatch.setattr(watching, "read_open_connections", self.sockets)
        monkeypatch.setattr(watching, "read_ended_connections", lambda _ports, _families: [])
        self.watcher = Watcher(host.operator(), self.look_again, self.saved.append)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.interrupt_at is not None and self.now >= self.interrupt_at:
            raise KeyboardInterrupt

    def sockets(self, _ports: object) -> list[RawSocket]:
        return [socket("172.17.0.2", int(self.now))]

    def look_again(self):
        self.looks += 1
        return host.operator()

    def total(self) -> int:
        return sum(consumer.count for seen in self.saved for consumer in seen.consumers)


def test_a_watch_lasts_as_long_as_it_should_and_saves_now_and_then(monkeypatch):
    fake = Host(monkeypatch)
    fake.watcher.run(70, fake.glimpses.append)
    assert 70 <= fake.now < 71
    assert len(fake.saved) == 3
    assert fake.total() == 71  # a new client's port each second
    assert fake.looks == 1
    assert fake.glimpses[-1].consumers == 1
    assert not fake.watcher.was_interrupted
    assert not fake.saved[-1].watches[0].is_complete  # nothing announces


def test_an_interrupt_ends_it_early_and_keeps_what_was_seen(monkeypatch):
    fake = Host(monkeypatch)
    fake.interrupt_at = 10
    fake.watcher.run(600, fake.glimpses.append)
    assert fake.watcher.was_interrupted
    assert fake.total() >= 10


# --- what is kept ----------------------------------------------------------------------------------------------------


def observation(sightings: Sightings, begun: datetime, seconds: int, boot: str = "b") -> Observed:
    watch = Watch(begun=begun, ended=begun + timedelta(seconds=seconds), boot_id=boot)
    return Observed(watches=(watch,), consumers=sightings.take())


def test_several_watches_add_up_on_the_same_machine_alone(tmp_path, sightings):
    state = tmp_path / "state"
    for minute in range(3):
        sightings.add_flows([(flow("172.17.0.2"), 2)], NOW + timedelta(minutes=minute))
        remember(state, "m", observation(sightings, NOW + timedelta(minutes=minute), 60))
    kept = load_observed(state, "m")
    assert (kept.seconds, len(kept.watches)) == (180, 1)
    (consumer,) = kept.consumers
    assert (consumer.count, consumer.first_seen, consumer.last_seen) == (6, NOW, NOW + timedelta(minutes=2))
    assert load_observed(state, "another machine") is None
    assert stat.S_IMODE((state / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_time_that_two_watches_share_counts_once_and_a_reboot_ends_one(tmp_path, sightings):
    state = tmp_path / "state"
    remember(state, "m", observation(sightings, NOW, 60))
    remember(state, "m", observation(sightings, NOW + timedelta(seconds=30), 60))
    remember(state, "m", observation(sightings, NOW + timedelta(seconds=90), 60, boot="c"))
    kept = load_observed(state, "m")
    assert (kept.seconds, len(kept.watches)) == (150, 2)


def test_the_file_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("remedy.facts.observed.MOST_WATCHES", 3)
    monkeypatch.setattr("remedy.facts.observed.MOST_CONSUMERS", 2)
    sightings = Sightings(Names(host.operator()))
    for number in range(6):
        at = NOW + timedelta(hours=number)
        sightings.add_flows([(flow("172.17.0.2", port=5001 + number % 3), 1)], at)
        remember(tmp_path / "s", "m", observation(sightings, at, 60))
    kept = load_observed(tmp_path / "s", "m")
    assert (len(kept.watches), kept.seconds) == (3, 360)
    assert {consumer.to_port for consumer in kept.consumers} == {5002, 5003}


def test_a_damaged_file_is_an_error_to_a_watch_and_a_note_to_the_facts(tmp_path):
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        remember(tmp_path, "m", Observed())
    facts = with_observed(host.operator(), tmp_path)
    assert [note.item for note in facts.unread][-1:] == ["observed consumers"]
    assert facts.observed is None


def test_nobody_watched_is_nothing(tmp_path):
    assert with_observed(host.operator(), tmp_path / "none") == host.operator()
