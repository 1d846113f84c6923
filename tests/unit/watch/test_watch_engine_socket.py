"""The watcher's two questions to the engine, against a real socket; and errands in a process of their own."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from remedy.apply.settings import Settings
from remedy.errors import EngineError, RemedyError
from remedy.facts.model import HostFacts
from remedy.paths.published import PublishedPort, published_ports
from remedy.spec.load import load_spec
from remedy.watch.apart import Apart, done_apart
from remedy.watch.engine_socket import events, list_containers
from remedy.watch.quick_facts import kept_for_quick

FACTS = Path(__file__).parents[1] / "plan" / "data" / "facts-operator-28.5.json.gz"
OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"


class Engine:
    """Answers one question with these bytes, in pieces."""

    def __init__(self, path: Path, *pieces: bytes) -> None:
        self.endpoint = f"unix://{path}"
        self.asked = b""
        self._pieces = pieces
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        channel, _ = self._listener.accept()
        with channel:
            while b"\r\n\r\n" not in self.asked:
                self.asked += channel.recv(4096)
            for piece in self._pieces:
                channel.sendall(piece)

    def close(self) -> None:
        self._thread.join(5)
        self._listener.close()


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[Engine]]:
    made: list[Engine] = []
    yield made
    for engine in made:
        engine.close()


def engine(tmp_path: Path, engines: list[Engine], *pieces: bytes) -> Engine:
    engines.append(Engine(tmp_path / "docker.sock", *pieces))
    return engines[-1]


def test_the_list_is_what_the_engine_says(tmp_path: Path, engines: list[Engine]) -> None:
    one = engine(tmp_path, engines, OK, b'[{"Id": "a', b'bc"}]')
    assert list_containers(one.endpoint) == [{"Id": "abc"}]
    assert one.asked.startswith(b"GET /containers/json?all=1 HTTP/1.0\r\nHost: docker\r\n")


@pytest.mark.parametrize("answer", [OK + b"[{", OK + b"{}", b"", b"HTTP/1.0 500 Oops\r\n\r\nno disk"])
def test_an_answer_that_is_none_is_an_error_of_the_engine(tmp_path: Path, engines: list[Engine], answer: bytes) -> None:
    one = engine(tmp_path, engines, answer)
    with pytest.raises(EngineError):
        list_containers(one.endpoint)


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        list_containers(f"unix://{tmp_path}/none.sock")
    assert caught.value.where == f"unix://{tmp_path}/none.sock"
    assert caught.value.next_step == "systemctl status docker"


def test_events_come_one_by_one_until_the_stream_ends(tmp_path: Path, engines: list[Engine]) -> None:
    one = engine(tmp_path, engines, OK + b'{"Type": "cont', b'ainer"}\n{"Type": "network"}\n')
    with events(one.endpoint, {"type": ["container"]}) as stream:
        assert [event["Type"] for event in stream] == ["container", "network"]
    assert b"GET /events?filters=%7B%22type%22%3A%20%5B%22container%22%5D%7D HTTP/1.0" in one.asked


def test_an_errand_hands_over_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / "remedy.yaml"
    path.write_text("version: 1\nload_balancer: lb\nbackends:\n  - {containers: [a], port: 80}\n")
    settings = Settings(tmp_path, "unix:///nonexistent.sock")
    assert done_apart("spec", settings, path) == load_spec(path)
    path.write_text("version: 1\nnonsense: 1\n")
    with pytest.raises(RemedyError, match="nonsense") as caught:
        done_apart("spec", settings, path)
    with pytest.raises(RemedyError) as direct:
        load_spec(path)
    assert str(caught.value) == str(direct.value)


def test_a_process_does_one_errand_after_the_other_and_goes_when_nothing_comes(tmp_path: Path) -> None:
    path = tmp_path / "remedy.yaml"
    path.write_text("version: 1\n")
    apart = Apart(Settings(tmp_path, "unix:///nonexistent.sock"), stays=0.5)
    apart.do("spec", path)
    first = apart._process
    assert first is not None
    with pytest.raises(RemedyError, match="does not answer"):
        apart.do("look")
    assert apart._process is first
    assert first.wait(10) is not None
    assert apart.do("spec", path) == load_spec(path)
    second = apart._process
    assert second is not None
    second.kill()
    with pytest.raises(EngineError, match="gave no answer"):
        apart.do("spec", path)
    assert apart.do("spec", path) == load_spec(path)
    apart.close()


def test_an_errand_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(EngineError, match="gave no answer"):
        done_apart("look", Settings(tmp_path, "unix:///nonexistent.sock"))


def told(port: PublishedPort) -> tuple[object, ...]:
    return port.container.name, port.container.endpoints, *(getattr(port, f.name) for f in fields(port)[1:])


def test_what_is_kept_tells_the_same_ports() -> None:
    facts = HostFacts.model_validate_json(gzip.decompress(FACTS.read_bytes()))
    kept = kept_for_quick(facts)
    assert [told(port) for port in published_ports(kept)] == [told(port) for port in published_ports(facts)]
    assert not any(space.connections for space in kept.namespaces)
    assert any(container.environment for container in facts.containers)
    assert not any(container.environment for container in kept.containers), "what containers are told may be secret"
