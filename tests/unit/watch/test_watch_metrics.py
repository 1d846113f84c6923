"""The watcher's metrics: where they may be offered, what they say, and who may keep them busy."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from remedy.apply.settings import Settings
from remedy.errors import InputError, UsageError
from remedy.paths.verdict import Via
from remedy.watch.metrics import server as server_module
from remedy.watch.metrics.address import (
    LoopbackAddress,
    SocketAddress,
    check_for_service,
    parse_address,
)
from remedy.watch.metrics.collector import CONTENT_TYPE, WAYS, WatchCollector, make_registry, make_text
from remedy.watch.metrics.meter import Counted, Meter, Standing
from remedy.watch.metrics.server import MetricsServer, listen_at
from remedy.watch.unit import unit_text

STANDING = Standing(runs=2, redirects=3, untracked_pairs=4)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9417", LoopbackAddress("127.0.0.1", 9417)),
        ("127.9.9.9:1", LoopbackAddress("127.9.9.9", 1)),
        ("[::1]:65535", LoopbackAddress("::1", 65535)),
        ("unix:/run/remedy/metrics.sock", SocketAddress(Path("/run/remedy/metrics.sock"))),
    ],
)
def test_only_who_is_on_the_host_is_offered_metrics(text: str, address: object) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.0.0.0:9417", "other machines"),
        ("[::]:9417", "other machines"),
        ("192.0.2.1:9417", "other machines"),
        ("[::ffff:127.0.0.1]:9417", "other machines"),
        ("localhost:9417", "names are not looked up"),
        (":9417", "no address"),
        ("9417", "no address"),
        ("::1:9417", "brackets"),
        ("127.0.0.1", "no address"),
        ("127.0.0.1:0", "1 to 65535"),
        ("127.0.0.1:65536", "1 to 65535"),
        ("127.0.0.1:٣", "1 to 65535"),
        ("unix:metrics.sock", "whole path"),
        ("unix:/run/../etc/x", "whole path"),
        ("unix:/run/a\nb", "whole path"),
        ("unix:/", "whole path"),
    ],
)
def test_every_other_address_is_refused_with_what_would_do(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert why in str(caught.value.why)
    assert "127.0.0.1:9417" in str(caught.value.next_step)


def test_the_service_has_its_socket_in_a_directory_that_goes_with_it(tmp_path: Path) -> None:
    check_for_service(parse_address("127.0.0.1:9417"))
    check_for_service(parse_address("unix:/run/remedy/m.sock"))
    for elsewhere in ("unix:/run/docker/m.sock", "unix:/run/m.sock", "unix:/run/remedy/deeper/m.sock"):
        with pytest.raises(UsageError, match="/run/remedy"):
            check_for_service(parse_address(elsewhere))
    settings = Settings(tmp_path, "unix:///run/docker.sock")
    assert "RuntimeDirectory" not in unit_text(settings, Path("/x"), ("--metrics", "127.0.0.1:9417"))
    text = unit_text(settings, Path("/x"), ("--metrics", "unix:/run/remedy/m.sock"))
    assert "\nRuntimeDirectory=remedy\n" in text
    assert '"--metrics" "unix:/run/remedy/m.sock"\n' in text


def values(meter: Meter, tmp_path: Path | None = None) -> dict[tuple[str, str], float]:
    registry = make_registry(meter)
    if tmp_path is not None:
        registry = type(registry)()
        registry.register(WatchCollector(meter, tmp_path, tmp_path / "statistics"))
    text = make_text(registry).decode()
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_text_is_prometheus_own_and_each_name_keeps_its_rules() -> None:
    meter = Meter(lambda: 1000.0)
    meter.followed(STANDING)
    meter.synced(0.5)
    meter.count(Counted({"dnat": 3, "docker-proxy": 1}, drift=2, docker_proxies=5))
    families = list(text_string_to_metric_families(make_text(make_registry(meter)).decode()))
    assert families
    for family in families:
        assert family.documentation
        assert family.type in ("gauge", "counter")
        assert family.name.startswith(("remedy_", "process_"))
        if family.name.startswith("remedy_"):
            assert {sample.name.endswith("_total") for sample in family.samples} == {family.type == "counter"}


def test_each_value_is_what_the_loop_left_behind(tmp_path: Path) -> None:
    meter = Meter(lambda: 1000.0)
    before = values(meter, tmp_path)
    assert ("remedy_watch_last_sync_timestamp_seconds", "") not in before
    assert ("remedy_drift", "") not in before
    assert not any("conntrack" in name for name, _ in before)
    meter.connected(is_connected=True)
    meter.followed(STANDING)
    meter.followed(STANDING)
    meter.failed()
    meter.not_counted()
    meter.synced(0.5)
    meter.count(Counted({"dnat": 3, "docker-proxy": 1}, drift=2, docker_proxies=5))
    (tmp_path / "nf_conntrack_count").write_text("17\n")
    (tmp_path / "nf_conntrack_max").write_text("262144\n")
    (tmp_path / "statistics").write_text("entries insert_failed drop early_drop\n11 1 0 0\n11 a 2 0\n")
    found = values(meter, tmp_path)
    assert {name: found[name, ""] for name, label in found if not label} == {
        "remedy_watch_transactions_total": 2,
        "remedy_watch_errors_total": 2,
        "remedy_watch_syncs_total": 1,
        "remedy_watch_last_sync_timestamp_seconds": 1000,
        "remedy_watch_last_sync_duration_seconds": 0.5,
        "remedy_watch_engine_connected": 1,
        "remedy_watch_waiting": 0,
        "remedy_runs_applied": 2,
        "remedy_redirects": 3,
        "remedy_untracked_pairs": 4,
        "remedy_drift": 2,
        "remedy_docker_proxies": 5,
        "remedy_counted_timestamp_seconds": 1000,
        "remedy_conntrack_entries": 17,
        "remedy_conntrack_entries_limit": 262144,
    }
    assert found["remedy_paths", "dnat"] == 3
    assert found["remedy_paths", "docker-proxy"] == 1
    assert found["remedy_paths", "direct"] == 0
    assert set(WAYS) == set(get_args(Via))
    assert found["remedy_conntrack_losses_total", "insert_failed"] == 11
    assert found["remedy_conntrack_losses_total", "drop"] == 2


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SocketAddress]]:
    """Starts a server at a socket below tmp_path."""
    monkeypatch.setattr(server_module, "PATIENCE_SECONDS", 0.5)
    started: list[MetricsServer] = []

    def offer(text: Callable[[], bytes] = lambda: b"remedy_up 1\n") -> SocketAddress:
        address = SocketAddress(tmp_path / "metrics.sock")
        started.append(MetricsServer(address, text, CONTENT_TYPE, pytest.fail))
        started[-1].start()
        return address

    tmp_path.chmod(0o755)
    yield offer
    for server in started:
        server.close()


def ask(address: SocketAddress, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(5)
        channel.connect(str(address.path))
        channel.sendall(question)
        answer = b""
        while came := channel.recv(65536):
            answer += came
        return answer


def test_who_asks_gets_one_answer(offered: Callable[..., SocketAddress]) -> None:
    address = offered()
    answer = ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Type: {CONTENT_TYPE}".encode() in head
    assert b"Content-Length: 12\r\n" in head
    assert body == b"remedy_up 1\n"
    assert ask(address, b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
    assert ask(address, b"GET /etc/passwd HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    assert ask(address, b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 ")


def test_slow_and_hostile_clients_are_few_and_soon_gone(offered: Callable[..., SocketAddress]) -> None:
    address = offered()
    before = threading.active_count()
    silent = [socket.socket(socket.AF_UNIX) for _ in range(30)]
    try:
        for channel in silent:
            channel.connect(str(address.path))
        time.sleep(0.2)
        assert threading.active_count() <= before + server_module.AT_ONCE
        time.sleep(0.6)
        assert ask(address, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
    finally:
        for channel in silent:
            channel.close()
    with pytest.raises(ConnectionError):
        while True:
            assert ask(address, b"GET /" + b"x" * 20_000) == b""  # never ends its question


def test_a_client_that_drips_is_cut_off(offered: Callable[..., SocketAddress]) -> None:
    address = offered()
    with socket.socket(socket.AF_UNIX) as channel, pytest.raises(OSError):
        channel.connect(str(address.path))
        until = time.monotonic() + 3
        while time.monotonic() < until:
            channel.sendall(b"G")
            time.sleep(0.1)
        pytest.fail("it was listened to for three seconds")


def test_the_socket_is_for_its_group_and_goes_with_the_server(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    address = SocketAddress(tmp_path / "metrics.sock")
    server = MetricsServer(address, lambda: b"", CONTENT_TYPE, pytest.fail)
    server.start()
    assert stat.S_IMODE(address.path.stat().st_mode) == 0o660
    server.close()
    assert not address.path.exists()


def test_a_socket_that_a_kill_left_is_replaced_and_nothing_else_ever(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    address = SocketAddress(tmp_path / "metrics.sock")
    listen_at(address).close()
    assert address.path.exists()
    living = listen_at(address)
    try:
        with pytest.raises(InputError, match="another process"):
            listen_at(address)
    finally:
        living.close()
    address.path.unlink()
    target = tmp_path / "precious"
    target.write_text("precious")
    for place in (lambda: address.path.symlink_to(target), lambda: address.path.write_text("x"), address.path.mkdir):
        place()
        with pytest.raises(InputError, match="something else"):
            listen_at(address)
        assert address.path.is_symlink() or address.path.exists()
        os.rmdir(address.path) if address.path.is_dir() else address.path.unlink()
    assert target.read_text() == "precious"


def test_where_others_may_write_no_socket_is_put(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with pytest.raises(InputError, match="others may write"):
        listen_at(SocketAddress(tmp_path / "open" / "metrics.sock"))
    for missing in ("link", "nowhere"):
        with pytest.raises(InputError, match="cannot be offered"):
            listen_at(SocketAddress(tmp_path / missing / "metrics.sock"))


def test_a_port_that_is_taken_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "RETRY_SECONDS", 0.1)
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    told: list[str] = []
    server = MetricsServer(LoopbackAddress("127.0.0.1", port), lambda: b"x", CONTENT_TYPE, told.append)
    server.start()
    assert len(told) == 1
    assert "cannot be offered" in told[0]
    taken.close()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as channel:
                channel.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                assert channel.recv(100).startswith(b"HTTP/1.1 200")
                break
        except ConnectionRefusedError:
            time.sleep(0.05)
    else:
        pytest.fail("it was not tried again")
    server.close()
