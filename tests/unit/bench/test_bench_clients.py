"""The kept-alive client of the load generator, against a server whose every word the test says."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from remedy.bench.clients import KeepAliveClient, Tally
from remedy.bench.load_model import Vantage

if TYPE_CHECKING:
    from remedy.bench.clients import Client

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENCE_SECONDS = 5.0


class Loop:
    """A clock, sockets of this namespace, and a loop that the test turns."""

    def __init__(self) -> None:
        self._clients: dict[int, tuple[Client, int]] = {}

    def now(self) -> float:
        return time.monotonic()

    def stalled(self) -> float:
        return 0.0

    def wall(self, moment: float) -> float:
        return moment

    def open(self, vantage: Vantage) -> socket.socket:
        made = socket.socket()
        made.setblocking(False)
        return made

    def watch(self, client: Client, events: int) -> None:
        self._clients[client.socket.fileno()] = client, events

    def forget(self, client: Client) -> None:
        self._clients.pop(client.socket.fileno(), None)

    def turn(self) -> None:
        """Serve one event."""
        epoll = select.epoll()
        with epoll:
            for number, (_, events) in self._clients.items():
                epoll.register(number, events)
            ((number, event), *_) = epoll.poll(PATIENCE_SECONDS)
        self._clients[number][0].ready(event)


class Played:
    """The client under test, and the server's side of its connections."""

    def __init__(self, listener: socket.socket, *, asks_again: bool) -> None:
        self.loop, self._listener = Loop(), listener
        address, port = listener.getsockname()
        vantage = Vantage(name="v", netns="", address=address, port=port, asks_again=asks_again)
        self.tally = Tally(vantage, most_incidents=10)
        self.client = KeepAliveClient(self.loop, self.tally)
        self.server = self.accept()

    def accept(self) -> socket.socket:
        """The client's newest connection, made."""
        self.loop.turn()
        self.server, _ = self._listener.accept()
        self.server.settimeout(PATIENCE_SECONDS)
        return self.server

    def ask(self) -> None:
        """Ask, and let the server read it."""
        self.client.ask()
        assert self.server.recv(4096).startswith(b"GET ")

    def answer(self, answer: bytes = ANSWER) -> None:
        self.server.sendall(answer)
        self.loop.turn()

    def hang_up(self) -> None:
        self.server.close()
        self.loop.turn()

    @property
    def told(self) -> list[str]:
        return [one.kind for one in self.tally.incidents]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(PATIENCE_SECONDS)
        yield made


def test_a_close_that_crosses_a_request_by_haproxy_is_a_close_and_it_is_asked_again(listener: socket.socket) -> None:
    played = Played(listener, asks_again=True)
    played.ask()
    played.answer()
    played.ask()
    played.hang_up()
    assert played.told == ["keep-alive closed"]

    played.accept()
    assert played.server.recv(4096).startswith(b"GET ")  # at once, and not only with the next turn
    played.answer()
    assert played.told == ["keep-alive closed"]
    assert played.tally.result().keep_alive_failures == 0
    assert played.tally.keep_alive_requests == 2


def test_the_time_of_a_request_that_is_asked_again_runs_on(listener: socket.socket) -> None:
    played = Played(listener, asks_again=True)
    played.ask()
    played.answer()
    played.ask()
    time.sleep(0.21)
    played.hang_up()
    played.accept()
    played.answer()
    assert played.told == ["keep-alive closed", "keep-alive late"]


def test_a_request_is_asked_again_once(listener: socket.socket) -> None:
    played = Played(listener, asks_again=True)
    played.ask()
    played.answer()
    played.ask()
    played.hang_up()
    played.accept()
    played.hang_up()
    assert played.told == ["keep-alive closed", "keep-alive cut"]


def test_part_of_an_answer_or_a_first_request_is_cut(listener: socket.socket) -> None:
    first = Played(listener, asks_again=True)
    first.ask()
    first.hang_up()
    assert first.told == ["keep-alive cut"]

    second = Played(listener, asks_again=True)
    second.ask()
    second.answer()
    second.ask()
    second.answer(ANSWER[:20])
    second.hang_up()
    assert second.told == ["keep-alive cut"]


def test_elsewhere_a_close_in_a_request_is_a_request_cut(listener: socket.socket) -> None:
    played = Played(listener, asks_again=False)
    played.ask()
    played.answer()
    played.ask()
    played.hang_up()
    assert played.told == ["keep-alive cut"]
    assert played.tally.result().keep_alive_failures == 1


def test_a_close_between_two_requests_is_seen_before_the_next_is_asked(listener: socket.socket) -> None:
    played = Played(listener, asks_again=False)
    played.ask()
    played.answer()
    played.server.close()
    played.client.ask()
    assert played.told == ["keep-alive closed"]
    played.accept()
    played.ask()
    played.answer()
    assert played.told == ["keep-alive closed"]
