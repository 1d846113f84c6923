import io

import pytest
from rich.console import Console

from remedy.demo.figures import AFTER, BACK, BEFORE, Figures, cost, speed_rows, summary
from remedy.demo.host_state import difference
from remedy.demo.stage import Stage
from remedy.demo.throughput import Speed, Way, measure, requests_per_second
from remedy.demo.traffic import WAYS, Losses
from remedy.errors import CommandError

REPORT = """Running 2s test @ http://172.17.0.1:5001/1k
  1 threads and 32 connections
  24512 requests in 2.00s, 30.16MB read
Requests/sec:  12250.12
Transfer/sec:     15.07MB
"""


def speeds(per_second: float, of_direct: float) -> dict[str, Speed]:
    return dict.fromkeys(WAYS, Speed(per_second, of_direct))


def figures(**changes: object) -> Figures:
    made = Figures(
        proxies={BEFORE: 9, AFTER: 0, BACK: 9},
        speeds={BEFORE: speeds(10_000, 0.4), AFTER: speeds(12_000, 1.0), BACK: speeds(6_000, 0.6)},
        traffic={"apply": Losses(connections=2_000, lost=0, late=0, longest_ms=17.0)},
        lines_compared=978,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_figure_is_read_from_wrks_report():
    assert requests_per_second(REPORT) == 12250.12


@pytest.mark.parametrize(
    "report",
    [
        "unable to connect to 172.17.0.1:5001 Connection refused",
        REPORT.replace("Requests/sec", "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec"),
        REPORT.replace("Requests/sec", "  Non-2xx or 3xx responses: 7\nRequests/sec"),
    ],
)
def test_a_measurement_with_errors_is_none(report):
    with pytest.raises(CommandError):
        requests_per_second(report)


def test_the_ratio_compares_shares_of_the_direct_way_so_that_a_busy_machine_does_not_count():
    assert figures().ratio(WAYS[0]) == 2.0


def test_each_state_has_its_figure_and_its_share_of_the_direct_way():
    rows = list(speed_rows({BEFORE: speeds(10_000, 0.4), AFTER: speeds(12_000, 1.0)}))

    assert rows[0] == (WAYS[0], "10,000 (40%)", "12,000 (100%)")


def test_the_share_is_that_of_the_same_round(monkeypatch):
    answers = iter([100.0, 200.0, 50.0, 100.0, 10.0, 20.0, 5.0, 10.0, 400.0, 800.0])
    monkeypatch.setattr("remedy.demo.throughput._one_round", lambda _: next(answers))

    found = measure([Way("a", "", "")], Way("direct", "", ""), lambda _: None)

    assert found == {"a": Speed(50.0, 0.5), "direct": Speed(100.0, 1.0)}


@pytest.mark.parametrize(
    "broken",
    [
        {"differences": 1},
        {"traffic": {"apply": Losses(connections=2_000, lost=1, late=0, longest_ms=17.0)}},
        {"proxies": {BEFORE: 9, AFTER: 3, BACK: 9}},
        {"proxies": {BEFORE: 9, AFTER: 0, BACK: 6}},
    ],
)
def test_one_broken_promise_spoils_the_demonstration(broken):
    assert figures().is_good
    assert not figures(**broken).is_good


def test_the_summary_says_each_figure_once():
    stream = io.StringIO()
    Console(file=stream, width=120).print(summary(figures()))

    assert "9 → 0 → 9" in stream.getvalue()
    assert "10,000 → 12,000 → 6,000" in stream.getvalue()
    assert "2.0 times as fast" in stream.getvalue()
    assert "of 2,000, longest wait 17 ms" in stream.getvalue()


def test_a_line_that_went_and_one_that_came_are_a_difference_and_the_same_lines_are_none():
    before = {"iptables rules": ("-A X -j A", "-A X -j B"), "networks": ("bridge",)}
    after = {"iptables rules": ("-A X -j A", "-A X -j C"), "networks": ("bridge",)}

    assert difference(before, after) == {"iptables rules": ("--A X -j B", "+-A X -j C"), "networks": ()}


def test_a_restart_says_how_long_and_whether_containers_stop():
    assert cost({"level": "none", "containers": [], "seconds": None}) == "none"
    assert (
        cost({"level": "restart", "containers": [], "seconds": 3.0}) == "engine restart, about 3 s; containers live on"
    )
    assert cost({"level": "restart", "containers": ["db"], "seconds": None}) == "engine restart; 1 containers stop"


def test_a_log_gets_whole_lines_without_escapes():
    stream = io.StringIO()
    stage = Stage(Console(file=stream, highlight=False))

    stage.scene("The change", "What it shows.")
    stage.command("remedy plan", "reads only")
    with stage.waiting("measuring") as say:
        say("round 2")
    stage.output("  ✓ done")

    written = stream.getvalue()
    assert "\x1b" not in written
    assert "  # remedy plan   (reads only)\n" in written
    assert "  ... measuring\n" in written
    assert "round 2" not in written
