"""Everything of a Docker host that a rollback promises to put back, as text, and what differs between two such states.

Read with the host's own programs, not with remedy's collectors: the witness should not be the accused. Only the
order of the engine's own rules is left out, because every restart of the engine shuffles them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from remedy.firewall.normal_form import ChainForm, normalised
from remedy.lab import Host

State = Mapping[str, tuple[str, ...]]

# What is compared, and the commands that say it.
_COMMANDS = {
    "daemon.json": "cd /etc/docker && sha256sum daemon.json 2>&1; stat -c '%a %u %g' daemon.json 2>&1 || true",
    "iptables rules": "iptables-save",
    "ip6tables rules": "ip6tables-save",
    "nftables tables": "nft list tables | sort",
    "sysctls": r"grep -rsH . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_forward"
    r" /proc/sys/net/bridge | grep -v 'stable_secret\|mc_forwarding' | sort",
    "bridge ports": "grep -H . /sys/class/net/*/brport/hairpin_mode | sort",
    "networks": "docker network ls -q --no-trunc | sort | xargs docker network inspect"
    " -f '{{.Name}} {{.Id}} {{json .IPAM.Config}} {{json .Options}}'",
    "containers": "docker ps -q --no-trunc | sort | xargs docker inspect -f '{{.Name}} pid {{.State.Pid}}"
    " started {{.State.StartedAt}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'",
    "docker-proxy": "for p in $(pgrep -x docker-proxy); do tr '\\0' ' ' < /proc/$p/cmdline; echo; done | sort",
    "live-restore": "docker info -f '{{.LiveRestoreEnabled}}'",
    "systemd units": "systemctl list-unit-files --plain --no-legend 'remedy*' 'docker*'; ls /etc/systemd/system",
}
_RULES = ("iptables rules", "ip6tables rules")


def read_state(host: Host) -> State:
    """The host's state now. Raises CommandError when it cannot be read."""
    state = {}
    for name, command in _COMMANDS.items():
        text = host.run(["bash", "-c", command], timeout=60).stdout
        state[name] = tuple(_rule_lines(text)) if name in _RULES else tuple(text.splitlines())
    return state


def difference(before: State, after: State) -> dict[str, tuple[str, ...]]:
    """The lines that are gone (-) and that appeared (+), by what they belong to; empty where nothing differs."""
    return {
        name: tuple(
            line
            for line in difflib.unified_diff(before[name], after[name], n=0, lineterm="")
            if not line.startswith(("---", "+++", "@@"))
        )
        for name in before
    }


def _rule_lines(saved: str) -> Iterator[str]:
    for chain in normalised(saved).chains:
        yield _heading(chain)
        yield from chain.foreign
        yield from chain.engine
        yield from chain.own


def _heading(chain: ChainForm) -> str:
    return f"{chain.place} {chain.policy or '-'}"
