"""The figure of wrk's report, and what makes it worthless."""

from __future__ import annotations

import pytest

from remedy.bench.wrk import parse_report
from remedy.errors import CommandError

# wrk 4.1.0 of Debian 12.
REPORT = """\
Running 1s test @ http://172.17.0.1:5001/1k
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.10ms  402.11us   9.60ms   90.92%
    Req/Sec    57.62k     2.12k   60.24k    72.73%
  63036 requests in 1.10s, 77.55MB read
Requests/sec:  57316.81
Transfer/sec:     70.51MB
"""


def test_the_figure_is_the_one_of_the_whole_run() -> None:
    assert parse_report(REPORT) == 57316.81


@pytest.mark.parametrize(
    "trouble",
    [
        "  Socket errors: connect 0, read 12, write 0, timeout 3\n",
        "  Non-2xx or 3xx responses: 63036\n",
    ],
)
def test_a_figure_of_failed_requests_is_none(trouble: str) -> None:
    with pytest.raises(CommandError) as raised:
        parse_report(REPORT.replace("Requests/sec:", f"{trouble}Requests/sec:"))
    assert raised.value.why == trouble.strip()


@pytest.mark.parametrize("report", ["", "unable to connect to 172.17.0.1:5001 Connection refused\n"])
def test_a_report_without_a_figure_is_told_as_it_is(report: str) -> None:
    with pytest.raises(CommandError) as raised:
        parse_report(report)
    assert raised.value.why == report.strip()


def test_no_request_at_all_is_no_measurement() -> None:
    with pytest.raises(CommandError):
        parse_report("  0 requests in 1.00s, 0.00B read\nRequests/sec:      0.00\nTransfer/sec:       0.00B\n")
