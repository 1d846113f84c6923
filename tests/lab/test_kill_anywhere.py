"""kill -9 at any moment of apply or rollback, then `remedy rollback`: the host is as it was.

In the normal run a few kills at moments spread over the run. KILLS=100 makes as many, over all engines and both
firewalls; KILL_SEED chooses other moments. A failure names its moment: the same seed finds it again.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from conftest import LabHost
from operating import Operator, Running
from state import State, differences, host_state

from remedy.lab import ENGINES, FIREWALLS

pytestmark = pytest.mark.lab

KILLS = int(os.environ.get("KILLS", "0"))
SEED = int(os.environ.get("KILL_SEED", "1"))
USUAL_HOSTS = (("28.5", "nft"), ("20.10", "legacy"))
ALL_HOSTS = tuple((engine, firewall) for engine in ENGINES for firewall in FIREWALLS)
HOSTS = ALL_HOSTS if KILLS else USUAL_HOSTS
KILLS_PER_HOST = -(-KILLS // len(HOSTS)) if KILLS else 4
QUESTIONS_EVERY = 4  # after every so-manieth kill, status, plan and apply are asked what they make of it

HAIRPIN = """\
version: 1
load_balancer: dev1-haproxy-1
backends: [{containers: [dev1-api-1, dev1-api-2, dev1-api-3], port: 8080}]
remedies: {hairpin: {loopback: true}}
policy: {accept_pinned: true}
"""
NOTRACK = HAIRPIN.replace("{hairpin: {loopback: true}}", "{user_network: remedy-lb, notrack: true}")
# On which the untracked pairs are tried besides: one commit for each table, in this process.
RULES = [*((firewall, HAIRPIN) for firewall in FIREWALLS), ("legacy", NOTRACK), *([("nft", NOTRACK)] if KILLS else [])]


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: before touch number `touch`, after `seconds`, or when `record` appears in the journal."""

    command: str = "apply"
    touch: int | None = None
    seconds: float | None = None
    record: str | None = None
    then: Moment | None = None  # the rollback that follows is killed too

    def __str__(self) -> str:
        when = f"touch {self.touch}" if self.touch else f"{self.seconds:.3f} s" if self.seconds else self.record
        return f"{self.command} at {when}" + (f", then {self.then}" if self.then else "")


@dataclass(frozen=True, slots=True)
class Length:
    """How long a command is when nobody kills it."""

    touches: int
    seconds: float
    records: tuple[str, ...]


@pytest.mark.parametrize(("engine", "firewall"), HOSTS)
def test_after_a_kill_of_the_proxy_change_rollback_restores_the_identical_host(
    lab_host: LabHost, engine: str, firewall: str
) -> None:
    survive_all(lab_host, engine, firewall, None, KILLS_PER_HOST)


@pytest.mark.parametrize(("firewall", "spec"), RULES, ids=lambda value: "notrack" if value == NOTRACK else None)
def test_after_a_kill_of_a_change_of_rules_rollback_restores_the_identical_host(
    lab_host: LabHost, firewall: str, spec: str
) -> None:
    survive_all(lab_host, ENGINES[-1], firewall, spec, max(2, KILLS_PER_HOST // 2))


def survive_all(lab_host: LabHost, engine: str, firewall: str, spec: str | None, kills: int) -> None:
    """Kill `kills` times on one host; a host that did not recover is replaced, and all failures are told at the end."""
    failures: list[str] = []
    operator, before = fresh(lab_host, engine, firewall, spec)
    lengths = {command: measure(operator, command) for command in ("apply", "rollback")}
    for number, moment in enumerate(moments(lengths, kills), 1):
        problems = survive(operator, before, moment, asks=number % QUESTIONS_EVERY == 1)
        if KILLS:
            print(
                f"{time.strftime('%H:%M:%S')} {engine} {firewall} kill {number}/{kills}: {moment}: {problems or 'ok'}",
                flush=True,
            )
        if problems:
            failures += [f"seed {SEED}, {moment}: {problem}" for problem in problems]
            operator.host.down()
            operator, before = fresh(lab_host, engine, firewall, spec)
    assert failures == []


def fresh(lab_host: LabHost, engine: str, firewall: str, spec: str | None) -> tuple[Operator, State]:
    host = lab_host(engine, firewall)
    return Operator(host, spec), host_state(host)


def measure(operator: Operator, command: str) -> Length:
    """One whole run of the command, counted."""
    known = len(operator.events()) if command == "rollback" else 0
    running = operator.start_killing_itself(0, command, "--yes")
    code, output = running.wait()
    assert code == 0, output
    touches = int(output.rpartition("TOUCHES ")[2])
    return Length(touches, time.monotonic() - running.started, tuple(operator.events()[known:]))


def moments(lengths: dict[str, Length], kills: int) -> Iterator[Moment]:
    """Spread evenly over the touches of both commands, with random times and records in between."""
    dice = random.Random(SEED)

    def at_touch(command: str, share: float) -> Moment:
        return Moment(command, touch=1 + int(share * (lengths[command].touches - 1)))

    for number in range(kills):
        share = (number + dice.random()) / kills
        kind = number % 4
        if kind == 0:
            yield at_touch("apply", share)
        elif kind == 1:
            yield at_touch("rollback", share)
        elif kind == 2:
            record = dice.choice(lengths["apply"].records[:-1])
            yield replace(Moment(record=record), then=at_touch("rollback", dice.random()))
        else:
            command = dice.choice(("apply", "rollback"))
            yield Moment(command, seconds=dice.uniform(0.3, lengths[command].seconds))


def survive(operator: Operator, before: State, moment: Moment, *, asks: bool) -> list[str]:
    """Kill at this moment, roll back, compare: what is wrong afterwards."""
    problems: list[str] = []
    if moment.command == "rollback":
        operator.remedy("apply", "--yes", check=True)
    strike(operator, moment)
    if asks:
        problems += answers_of(operator)
    if moment.then is not None:
        strike(operator, moment.then)
    done = operator.remedy("rollback", "--yes")
    if done.status != 0:
        problems.append(f"rollback ended with {done.status}: {done.stdout[-600:]}{done.stderr[-600:]}")
    elif "Warning" in done.stdout:
        problems.append(f"rollback warns: {done.stdout[-600:]}")
    problems += differences(before, host_state(operator.host))
    again = operator.json("rollback", "--yes")
    if again.get("result") != "nothing":
        problems.append(f"a second rollback finds something to do: {again}")
    return problems


def strike(operator: Operator, moment: Moment) -> None:
    """Start the command and kill it at the moment (or let it end, if it ends before)."""
    if moment.touch is not None:
        operator.start_killing_itself(moment.touch, moment.command, "--yes").wait()
        return
    known = len(operator.events()) if moment.command == "rollback" else 0
    runs = len(operator.runs())
    running = operator.start(moment.command, "--yes")
    wait_for(operator, moment, running, known, runs)
    running.kill()
    running.wait()


def wait_for(operator: Operator, moment: Moment, running: Running, known: int, runs: int) -> None:
    if moment.seconds is not None:
        time.sleep(moment.seconds)
        return
    assert moment.record is not None
    while len(operator.runs()) == runs and moment.command == "apply" and not running.has_ended:
        time.sleep(0.001)
    operator.wait_for(moment.record, running=running, known=known)


def answers_of(operator: Operator) -> Iterator[str]:
    """What status, plan and apply say of a run that was cut off in the middle."""
    status = operator.json("status")
    expected = {"clean": 0, "applied": 0, "interrupted": 8}.get(status["state"])
    code = operator.remedy("status", "--detailed-exitcode").status
    if code != expected:
        yield f"status says {status['state']} and exits with {code}"
    if status["state"] != "interrupted":
        return
    if "rollback" not in status["next_step"]:
        yield f"status does not say what to do: {status}"
    warnings = [warning["code"] for warning in operator.json("plan").get("warnings", [])]
    if "run-waiting" not in warnings:
        yield f"plan does not notice the interrupted run: {warnings}"
    applied = operator.remedy("apply", "--yes")
    if applied.status != 8:
        yield f"apply answers {applied.status}, not 8: {applied.stdout[-300:]}{applied.stderr[-300:]}"
