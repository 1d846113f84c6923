"""`python -m remedy.bench`: the project's benchmarks, on throwaway Docker hosts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from remedy.errors import RemedyError

BROKEN_PROMISE = 2

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.callback()
def benchmarks() -> None:
    """Measure, on throwaway Docker hosts."""


Json = Annotated[Path | None, typer.Option("--json", help="write the figures to this file, too")]
Nice = Annotated[int, typer.Option(help="priority of the hosts, where this machine has other work as well")]


@app.command()
def loss(
    engine: Annotated[list[str] | None, typer.Option(help="20.10, 26.1, 28.5; default all")] = None,
    firewall: Annotated[list[str] | None, typer.Option(help="nft, legacy; default both")] = None,
    containers: Annotated[list[int] | None, typer.Option(help="containers that publish; default 4 and 64")] = None,
    forward_off: Annotated[
        bool, typer.Option("--forward-off", help="net.ipv4.ip_forward is 0 until the engine starts")
    ] = False,
    attempts: Annotated[int, typer.Option(help="how often a case with losses is measured")] = 2,
    json: Json = None,
    nice: Nice = 0,
) -> None:
    """Print what new connections meet while remedy changes a host; exit status 2 when something was lost."""
    from remedy.bench.loss_table import incident_lines, loss_table, verdict
    from remedy.bench.matrix import CONTAINERS, all_cases, measure_all
    from remedy.bench.output import busy_lines, print_table, say, write_json
    from remedy.lab.layout import ENGINES, FIREWALLS

    busy = busy_lines()
    cases = all_cases(engine or ENGINES, firewall or FIREWALLS, containers or CONTAINERS, ip_forward=not forward_off)
    results = []
    for result in measure_all(cases, attempts=attempts, say=say, priority=nice):
        results.append(result)
        if json is not None:
            write_json(json, [one.model_dump(mode="json") for one in results])
    print_table(loss_table(results), [verdict(results), *incident_lines(results), *busy])
    if not all(result.is_clean for result in results):
        raise typer.Exit(BROKEN_PROMISE)


@app.command()
def demo(
    engine: Annotated[str, typer.Option(help="20.10, 26.1, 28.5")] = "28.5",
    firewall: Annotated[str, typer.Option(help="nft, legacy")] = "nft",
    rounds: Annotated[int, typer.Option(help="of one second for each way")] = 7,
    json: Json = None,
    nice: Nice = 0,
) -> None:
    """Print requests/s through docker-proxy, after remedy and by hand; exit status 2 when remedy's are too few."""
    from remedy.bench.output import busy_lines, print_table, say, write_json
    from remedy.bench.throughput import measure_throughput, throughput_table, throughput_verdict

    busy = busy_lines()
    result = measure_throughput(engine, firewall, rounds=rounds, say=say, priority=nice)
    if json is not None:
        write_json(json, result.model_dump(mode="json"))
    print_table(throughput_table(result), [throughput_verdict(result), *busy])
    if not result.keeps_promise:
        raise typer.Exit(BROKEN_PROMISE)


@app.command()
def speed(
    engine: Annotated[str, typer.Option(help="20.10, 26.1, 28.5")] = "28.5",
    firewall: Annotated[str, typer.Option(help="nft, legacy")] = "nft",
    containers: Annotated[int, typer.Option(help="containers that publish")] = 20,
    rounds: Annotated[int, typer.Option(help="how often everything is timed")] = 11,
    json: Json = None,
    nice: Nice = 0,
) -> None:
    """Print how long remedy --help and remedy plan take, and where; exit status 2 when it is too long."""
    from remedy.bench.loss import Case
    from remedy.bench.output import busy_lines, print_table, say, write_json
    from remedy.bench.speed import measure_speed
    from remedy.bench.speed_table import speed_table, speed_verdict

    busy = busy_lines()
    result = measure_speed(Case(engine, firewall, containers), rounds=rounds, say=say, priority=nice)
    if json is not None:
        write_json(json, result.model_dump(mode="json"))
    print_table(speed_table(result), [speed_verdict(result), *busy])
    if not result.keeps_promise:
        raise typer.Exit(BROKEN_PROMISE)


@app.command()
def fleet(
    hosts: Annotated[int, typer.Option(help="lab hosts in the rollout", min=1)] = 30,
    engine: Annotated[str, typer.Option(help="20.10, 26.1, 28.5")] = "28.5",
    firewall: Annotated[str, typer.Option(help="nft, legacy")] = "nft",
    forks: Annotated[int, typer.Option(help="hosts that Ansible works on at once", min=1)] = 5,
    json: Json = None,
) -> None:
    """Print what one rollout of apply.yml takes a host, and how much of it is not Ansible's own.

    Exit status 2 when a host did not become what it should.
    """
    from remedy.bench.fleet import measure_fleet
    from remedy.bench.fleet_table import fleet_lines, fleet_table, fleet_verdict
    from remedy.bench.output import busy_lines, print_table, say, write_json

    busy = busy_lines()
    result = measure_fleet(engine, firewall, hosts=hosts, forks=forks, say=say)
    if json is not None:
        write_json(json, result.model_dump(mode="json"))
    print_table(fleet_table(result), [fleet_verdict(result), *fleet_lines(result), *busy])
    if result.not_applied:
        raise typer.Exit(BROKEN_PROMISE)


@app.command()
def recreations(
    engine: Annotated[list[str] | None, typer.Option(help="20.10, 26.1, 28.5; with --firewall, as often")] = None,
    firewall: Annotated[list[str] | None, typer.Option(help="nft, legacy; default 28.5 nft and 20.10 legacy")] = None,
    recreations: Annotated[int, typer.Option("--count", help="how many containers are made again")] = 200,
    seed: Annotated[int, typer.Option(help="decides who is made again, and who takes whose address")] = 1,
    notrack: Annotated[bool, typer.Option("--notrack", help="on a network of haproxy's, and untracked there")] = False,
    json: Json = None,
    nice: Nice = 0,
) -> None:
    """Print who answers while containers are made again under load; exit status 2 when it was somebody else."""
    from remedy.bench.output import busy_lines, print_table, say, write_json
    from remedy.bench.recreations import HAIRPIN, WITH_NOTRACK, measure_recreations
    from remedy.bench.recreations_table import loss_lines, recreations_table, recreations_verdict

    busy = busy_lines()
    hosts = list(zip(engine or ("28.5", "20.10"), firewall or ("nft", "legacy"), strict=True))
    results = []
    for one, variant in hosts:
        results.append(
            measure_recreations(
                one,
                variant,
                recreations=recreations,
                seed=seed,
                say=say,
                remedies=WITH_NOTRACK if notrack else HAIRPIN,
                priority=nice,
            )
        )
        if json is not None:
            write_json(json, [result.model_dump(mode="json") for result in results])
    print_table(recreations_table(results), [recreations_verdict(results), *loss_lines(results), *busy])
    if not all(result.keeps_promise for result in results):
        raise typer.Exit(BROKEN_PROMISE)


@app.command()
def notrack(
    engine: Annotated[list[str] | None, typer.Option(help="20.10, 26.1, 28.5; with --firewall, as often")] = None,
    firewall: Annotated[list[str] | None, typer.Option(help="nft, legacy; default 28.5 nft and 20.10 legacy")] = None,
    rounds: Annotated[int, typer.Option(help="of one second for each way")] = 15,
    json: Json = None,
    nice: Nice = 0,
) -> None:
    """Print new connections/s with notrack and with bridge netfilter off; exit status 2 when notrack's are too few."""
    from remedy.bench.output import busy_lines, print_table, say, write_json
    from remedy.bench.untracking import measure_untracking, untracking_table, untracking_verdict

    busy = busy_lines()
    results = []
    for one, variant in zip(engine or ("28.5", "20.10"), firewall or ("nft", "legacy"), strict=True):
        result = measure_untracking(one, variant, rounds=rounds, say=say, priority=nice)
        results.append(result)
        if json is not None:
            write_json(json, [each.model_dump(mode="json") for each in results])
        print_table(untracking_table(result), [untracking_verdict(result), *busy])
    if not all(result.keeps_promise for result in results):
        raise typer.Exit(BROKEN_PROMISE)


@app.command()
def paths(
    containers: Annotated[int, typer.Option(help="of the made-up host")] = 1_000,
    rules: Annotated[int, typer.Option(help="of the made-up host")] = 10_000,
    questions: Annotated[int, typer.Option(help="who reaches what")] = 10_000,
) -> None:
    """Print how long the packet walk takes on a large host; exit status 2 when it is too slow. No host is needed."""
    from remedy.bench.paths import measure_paths, paths_lines

    result = measure_paths(containers, rules, questions)
    for line in paths_lines(result):
        typer.echo(line)
    if not result.keeps_promise:
        raise typer.Exit(BROKEN_PROMISE)


@app.command()
def watch(
    engine: Annotated[str, typer.Option(help="20.10, 26.1, 28.5")] = "28.5",
    firewall: Annotated[str, typer.Option(help="nft, legacy")] = "nft",
    containers: Annotated[list[int] | None, typer.Option(help="of the hosts; default 4 and 200")] = None,
    seconds: Annotated[int, typer.Option(help="how long each rest is watched")] = 60,
    large: Annotated[int, typer.Option(help="containers of the made-up host, which is resynced")] = 1_000,
    json: Json = None,
    nice: Nice = 0,
) -> None:
    """Print what the watcher costs at rest, and a full resync of a large host; exit status 2 when it is too much."""
    from remedy.bench.loss import Case
    from remedy.bench.output import busy_lines, print_table, say, write_json
    from remedy.bench.resync import measure_resync, resync_lines
    from remedy.bench.watching import idle_table, idle_verdict, measure_idle

    busy = busy_lines()
    say(f"a full resync of {large} containers, and the plan that it needs first")
    resync = measure_resync(large, rounds=5, notrack=False)
    rests = []
    for number in containers or (4, 200):
        for rest in measure_idle(Case(engine, firewall, number), seconds=seconds, say=say, priority=nice):
            rests.append(rest)
            if json is not None:
                write_json(json, [one.model_dump(mode="json") for one in rests])
    print_table(idle_table(rests), [idle_verdict(rests), "", *resync_lines(resync), *busy])
    if not (resync.keeps_promise and all(rest.keeps_promise for rest in rests)):
        raise typer.Exit(BROKEN_PROMISE)


def main() -> None:
    """Run the command line; errors as one line."""
    try:
        app()
    except RemedyError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
