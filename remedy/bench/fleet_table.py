"""The tables of the fleet benchmark."""

from __future__ import annotations

from statistics import median

from rich.table import Table

from remedy.bench.fleet import FleetResult


def fleet_table(result: FleetResult) -> Table:
    """Where the time of a rollout goes, as a whole and for each host; then what remedy does on a host."""
    table = Table(
        title=f"One rollout of apply.yml, {result.hosts} hosts, {result.engine} {result.firewall}, "
        f"{result.forks} forks: seconds",
        title_justify="left",
    )
    table.add_column("what", no_wrap=True)
    for name in ("in all", "a host", "slowest host"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, seconds in (
        ("the rollout", result.rollout),
        ("  Ansible's own: as many tasks that do nothing", result.idle),
        ("  the playbooks and modules beyond that", result.replayed - result.idle),
        ("  remedy at work on the hosts", result.rollout - result.replayed),
    ):
        table.add_row(name, f"{seconds:.1f}", f"{seconds / result.hosts:.2f}", "")
    table.add_section()
    for batch in result.batches:
        hosts = "1 host" if batch.hosts == 1 else f"{batch.hosts} hosts"
        name = f"  {batch.name}: {hosts}, {batch.tasks} tasks"
        table.add_row(name, f"{batch.seconds:.1f}", f"{batch.seconds / batch.hosts:.2f}", "")
    table.add_section()
    _add(table, "remedy on a host, several at once (median)", result.seconds_on_hosts)
    for command in result.commands:
        times = result.times_of(command)
        _add(table, f"  {command}" + (f", {times:g} times" if times > 1 else ""), result.seconds_of(command))
    return table


def _add(table: Table, name: str, seconds: tuple[float, ...]) -> None:
    table.add_row(name, "", f"{median(seconds):.2f}", f"{max(seconds):.2f}")


def fleet_verdict(result: FleetResult) -> str:
    """The table in one sentence."""
    beyond = result.rollout - result.idle
    return (
        f"{result.hosts} hosts in {result.rollout:.0f} s, {result.rollout / result.hosts:.1f} s each; "
        f"beyond Ansible's own {beyond / result.hosts:.1f} s each"
    )


def fleet_lines(result: FleetResult) -> list[str]:
    """What was done about memory, and which hosts did not become what they should."""
    lines = [f"All {result.hosts} engines ran; the hosts took {result.mebibytes / result.hosts:.0f} MiB each."]
    if result.not_applied:
        lines.append(f"NOT applied: {', '.join(result.not_applied)}")
    return lines
