"""The judge of undo: everything on a lab host that must be the same before an apply and after its rollback.

    before = host_state(host)
    ...
    assert differences(before, host_state(host)) == []

It reads the host in its own way (iptables-save, nft, sysfs, the engine's API), not by remedy's fact collectors:
what they overlook must not be overlooked here too. Only the form in which rules are compared is remedy's, because
that form is the promise itself: foreign rules in order, the engine's as a multiset per chain, empty tables with
ACCEPT policies not at all.

After a reboot, pids and start times are others and containers may have swapped addresses: compare
`without_processes(before)` with `without_processes(after)`.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from remedy.firewall.normal_form import differences as rule_differences
from remedy.firewall.normal_form import normalised
from remedy.host.namespaces import run_in_network_namespace
from remedy.lab import Host
from remedy.spec.models import HostPort
from remedy.verify.connect import connect

State = dict[str, Any]

# Directories whose every entry counts: name, kind, mode, owner, link target, content.
WATCHED_DIRECTORIES = (
    "/etc/docker",
    "/etc/modprobe.d",
    "/etc/modules-load.d",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/var/lib/systemd/timers",
)
# Counters and what the kernel computes; nobody sets them.
UNSET_SYSCTLS = re.compile(r"nf_conntrack_count|stable_secret|/nf_log/|mc_forwarding|conf/[^/]*/route/flush")
PATIENCE_SECONDS = 3.0
IPTABLES_TABLES = ("filter", "nat", "mangle", "raw", "security")
NETWORK_KEYS = ("Id", "Driver", "Scope", "Internal", "IPAM", "Options", "Labels")
_PORT = re.compile(r"<port of ([\w.-]+)/(\w+)>")
# What a reboot, or making a container again, gives anew.
PROCESS_KEYS = ("pid", "StartedAt", "RestartCount")

_SCRIPT = r"""
section() { printf '\036%s\n' "$1"; }
for f in ip ip6; do
    for t in $(cat /proc/net/${f}_tables_names); do
        section "legacy $f $t"; ${f}tables-legacy-save -t "$t"
    done
    section "nft $f"; ${f}tables-nft-save
done
section tables; nft -j list tables
for t in $(nft list tables 2>/dev/null | awk '{print $2 "/" $3}'); do
    case $t in
        ip/filter|ip/nat|ip/mangle|ip/raw|ip/security|ip6/filter|ip6/nat|ip6/mangle|ip6/raw|ip6/security) ;;
        *) section "table $t"; nft -s list table ${t%/*} ${t#*/} ;;
    esac
done
section links; ip -j -d link
section addresses; ip -o address | awk '{print $2, $3, $4}' | sort
section routes; ip route show table all | sort
section routes6; ip -6 route show table all | sed 's/ expires [0-9]*sec//' | sort
section hairpin; grep -H . /sys/class/net/*/brport/hairpin_mode
section sysctls; grep -rsH . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/bridge \
    /proc/sys/net/netfilter /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf
section proxies; for p in /proc/[0-9]*; do
    [ "$(cat $p/comm 2>/dev/null)" = docker-proxy ] && { tr '\0' ' ' < $p/cmdline; echo; }
done
docker ps -q | xargs -r docker inspect -f '{{.Name}} {{.State.Pid}}' | while read -r name pid; do
    section "inside $name"
    nsenter -t "$pid" -n sh -c 'nft list tables; for t in $(cat /proc/thread-self/net/ip_tables_names); do
        iptables-legacy-save -t "$t"; done' 2>/dev/null | grep -i remedy
done
section units; systemctl list-units --all --plain --no-legend 'remedy*' docker.service docker.socket \
    | awk '{print $1, $2, $3, $4}'
section failed; systemctl list-units --failed --plain --no-legend | awk '{print $1}'
section temporary; ls -1d /tmp/*remedy* /etc/*remedy* /run/*remedy* 2>/dev/null
section end
"""


def host_state(host: Host, *, traffic: bool = True) -> State:
    """Everything that must be the same before and after. traffic: also whether each published port answers."""
    seen = _sections(host)
    engine = _engine(host)
    links = json.loads(seen["links"])
    owners = _owners_of_ports(host, engine["containers"], links)
    state: State = {
        "iptables": _iptables(seen),
        "nft tables": _nft_tables(seen),
        "nft": {name[6:]: text for name, text in seen.items() if name.startswith("table ")},
        # Not all that is in there: the engine leaves its DNS rules behind when a container leaves a network.
        "inside containers": {name[7:]: text for name, text in seen.items() if name.startswith("inside ")},
        "hairpin_mode": dict(sorted(_hairpin_modes(seen["hairpin"], owners))),
        "sysctls": dict(sorted(_sysctls(seen["sysctls"], owners))),
        "addresses": _named(_settled(seen["addresses"]), owners),
        "routes": _named(_settled(seen["routes"]) + _settled(seen["routes6"]), owners),
        "docker-proxy": sorted(_proxies(seen["proxies"])),
        "units": sorted(seen["units"].splitlines()),
        "failed units": sorted(seen["failed"].splitlines()),
        "temporary files": sorted(seen["temporary"].splitlines()),
        "files": {directory: dict(_tree(host, directory)) for directory in WATCHED_DIRECTORIES},
        "mounted files": dict(_mounted_files(host, engine["containers"])),
        **engine,
    }
    if traffic:
        state["traffic"] = _traffic(host, engine["containers"])
    plain: State = json.loads(json.dumps(state))  # it can be kept in a file and compared later
    return plain


def differences(before: State, after: State) -> list[str]:
    """What differs, a readable line each; empty when the host is as it was."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if key == "iptables":
            lines += _iptables_differences(before[key], after[key])
        else:
            lines += _compare(key, before.get(key), after.get(key))
    return lines


def without_processes(state: State) -> State:
    """The state without what a reboot changes: pids, start times; containers by name, not by address."""
    containers = {
        name: {key: value for key, value in container.items() if key not in PROCESS_KEYS}
        for name, container in state["containers"].items()
    }
    names = {
        address: f"{name}@{network}:{key}"
        for name, container in state["containers"].items()
        for network, endpoint in container["addresses"].items()
        for key, address in endpoint.items()
        if address and key != "gateway"
    }
    # The engine makes its default network anew when no container runs at its start.
    networks = {name: {k: v for k, v in network.items() if k != "Id"} for name, network in state["networks"].items()}
    renamed: State = _renamed({**state, "containers": containers, "networks": networks}, names)
    return _with_sole_ports_called_eth0(renamed)


def _with_sole_ports_called_eth0(state: State) -> State:
    """Docker 28 gives eth0 and eth1 in no fixed order at a start on two networks; who leaves one may keep eth1."""
    text = json.dumps(state)
    ports: dict[str, set[str]] = {}
    for container, port in _PORT.findall(text):
        ports.setdefault(container, set()).add(port)
    sole = {container for container, found in ports.items() if len(found) == 1}
    renamed: State = json.loads(_PORT.sub(lambda m: f"<port of {m[1]}/eth0>" if m[1] in sole else m[0], text))
    return renamed


def about_ipv6_proxies(line: str) -> bool:
    """A container that starts while the proxy is off gets its docker-proxy on [::] only when it starts once more."""
    return line.startswith("docker-proxy: is gone: tcp ::") or "'HostIp': '::'" in line


def only(state: State, *keys: str) -> State:
    """The named parts of a state, where a test is about these alone."""
    return {key: state[key] for key in keys}


# --- reading ---------------------------------------------------------------------------------------------------


def _sections(host: Host) -> dict[str, str]:
    output = host.run(["sh", "-c", _SCRIPT], check=False, timeout=60).stdout
    parts = [part.partition("\n") for part in output.split("\036")[1:]]
    seen = {name: text.rstrip("\n") for name, _, text in parts}
    assert "end" in seen, f"the state could not be read: {output[-500:]}"
    return seen


def _iptables(seen: Mapping[str, str]) -> dict[str, str]:
    """Variant and family -> iptables-save text, without counters and time stamps."""
    texts = {f"{variant} {family}": "" for variant in ("legacy", "nft") for family in ("ip", "ip6")}
    for name, text in seen.items():
        words = name.split()
        if words[0] in ("legacy", "nft") and len(words) > 1:
            texts[" ".join(words[:2])] += "\n".join(line for line in text.splitlines() if not line.startswith("#"))
            texts[" ".join(words[:2])] += "\n"
    return {key: re.sub(r"^(:\S+ \S+) \[\d+:\d+\]", r"\1", text, flags=re.MULTILINE) for key, text in texts.items()}


def _nft_tables(seen: Mapping[str, str]) -> list[str]:
    """The names of all tables but iptables-nft's own, which count by their rules (an empty one stays for ever)."""
    listed = json.loads(seen["tables"] or '{"nftables": []}')["nftables"]
    tables = [item["table"] for item in listed if "table" in item]
    return sorted(
        f"{table['family']} {table['name']}"
        for table in tables
        if not (table["family"] in ("ip", "ip6") and table["name"] in IPTABLES_TABLES)
    )


def _engine(host: Host) -> State:
    client = host.docker(timeout=20)
    try:
        info = client.api.info()
        listed = client.api.containers(all=True)
        containers = [client.api.inspect_container(item["Id"]) for item in listed]
        networks = client.api.networks()
    finally:
        client.close()
    return {
        "engine": {
            "live-restore": info["LiveRestoreEnabled"],
            "warnings": info.get("Warnings"),
            "containers running": info["ContainersRunning"],
        },
        "containers": {item["Name"].lstrip("/"): _container(item) for item in containers},
        "networks": {
            item["Name"]: {
                "subnets": [config["Subnet"] for config in (item.get("IPAM") or {}).get("Config") or ()],
                **{key: item.get(key) for key in ("Id", "Driver", "Scope", "Internal", "Options", "Labels")},
            }
            # A gateway that the engine chose itself stands in IPAM only after its next start, whoever restarts it.
            for item in networks
        },
    }


def _container(item: Mapping[str, Any]) -> State:
    state = item["State"]
    return {
        "id": item["Id"],
        "pid": state["Pid"],
        "status": state["Status"],
        "StartedAt": state["StartedAt"],
        "RestartCount": item["RestartCount"],
        "restart policy": item["HostConfig"]["RestartPolicy"],
        "ports": item["NetworkSettings"]["Ports"],
        "mounts": sorted(f"{mount.get('Source')} {mount['Destination']}" for mount in item["Mounts"]),
        "addresses": {
            network: {
                "IPv4": endpoint["IPAddress"],
                "IPv6": endpoint["GlobalIPv6Address"],
                "mac": endpoint["MacAddress"],
                "gateway": endpoint["Gateway"],
            }
            for network, endpoint in item["NetworkSettings"]["Networks"].items()
        },
    }


def _owners_of_ports(host: Host, containers: Mapping[str, State], links: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """veth of the host -> "port of CONTAINER/eth0": its name is another one after every start of the container."""
    by_index = {link["ifindex"]: link["ifname"] for link in links}
    running = {name: item["pid"] for name, item in containers.items() if item["pid"]}
    script = "; ".join(f"echo '\036{name}'; nsenter -t {pid} -n ip -j link" for name, pid in running.items()) or ":"
    owners = {}
    for part in host.run(["sh", "-c", script], check=False).stdout.split("\036")[1:]:
        name, _, listed = part.partition("\n")
        for link in json.loads(listed or "[]"):
            if link.get("link_index") in by_index and link["ifname"] != "lo":
                owners[by_index[link["link_index"]]] = f"<port of {name}/{link['ifname']}>"
    return owners


def _hairpin_modes(text: str, owners: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        path, _, value = line.partition(":")
        interface = path.split("/")[4]
        yield owners.get(interface, interface), value


def _sysctls(text: str, owners: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        path, _, value = line.partition(":")
        if UNSET_SYSCTLS.search(path):
            continue
        parts = path.removeprefix("/proc/sys/").split("/")
        yield "/".join(owners.get(part, part) for part in parts), value


def _settled(text: str) -> list[str]:
    """Lines without link-local addresses: the kernel makes them by itself, a second or two after a link is up."""
    return [line for line in text.splitlines() if "fe80:" not in line and "multicast" not in line]


def _named(lines: Iterable[str], owners: Mapping[str, str]) -> list[str]:
    """Lines with a container's port instead of the veth's name; the veth's own random address does not count."""
    kept = [" ".join(owners.get(word, word) for word in line.split()) for line in lines]
    return sorted(line for line in kept if not ("<port of" in line and "fe80" in line))


def _proxies(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.split()
        if "-host-port" in words:
            options = dict(zip(words[1::2], words[2::2], strict=False))
            yield " ".join(options.get(f"-{key}", "?") for key in ("proto", "host-ip", "host-port", "container-ip"))


def _tree(host: Host, directory: str) -> Iterator[tuple[str, str]]:
    root = host.path_of(directory)
    if not root.is_dir():
        return
    for path in [root, *sorted(root.rglob("*"))]:
        yield str(path.relative_to(root)), _entry(path)


def _entry(path: Path) -> str:
    status = path.lstat()
    described = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{described} -> {path.readlink()}"
    if not stat.S_ISREG(status.st_mode):
        return described
    return f"{described} {_digest(path.read_bytes())}"


def _digest(raw: bytes) -> str:
    return raw.decode() if len(raw) < 200 and raw.isascii() else f"sha256:{hashlib.sha256(raw).hexdigest()[:16]}"


def _mounted_files(host: Host, containers: Mapping[str, State]) -> Iterator[tuple[str, str]]:
    """Single files that containers mount (haproxy.cfg): they follow the inode, so that counts too."""
    for mount in sorted({mount.split()[0] for item in containers.values() for mount in item["mounts"]}):
        path = host.path_of(mount)
        if path.is_file():
            yield mount, f"inode {path.stat().st_ino} {_entry(path)}"


def _traffic(host: Host, containers: Mapping[str, State]) -> dict[str, bool]:
    """Every published TCP port, tried from outside, the host and each container: does somebody answer?

    Not [::1]: whoever uses it counts as a consumer that the plan must not cut off, for as long as conntrack remembers.
    """
    ports = {
        binding["HostPort"]
        for item in containers.values()
        if item["status"] == "running"
        for inner, bindings in (item["ports"] or {}).items()
        if inner.endswith("/tcp")
        for binding in bindings or ()
    }
    targets = [("external", host.external.pid, host.address)]
    targets += [("host", host.init_pid, address) for address in ("127.0.0.1", host.address)]
    for name, item in containers.items():
        if item["status"] == "running":
            pid = host.container_pid(name)
            gateways = sorted({e["gateway"] for e in item["addresses"].values() if e["gateway"]})
            targets += [(name, pid, gateway) for gateway in gateways]
    tries = [(who, pid, f"{address}:{port}") for who, pid, address in targets for port in sorted(ports)]
    # A host that had this address before may have left its hardware address behind.
    host.external.run(["ip", "neigh", "flush", "all"], check=False)
    with ThreadPoolExecutor(24) as pool:
        answers = pool.map(lambda each: _answers(each[1], each[2]), tries)
        return {f"{who} -> {to}": answer for (who, _, to), answer in zip(tries, answers, strict=True)}


def _answers(pid: int, to: str) -> bool:
    """Whether somebody answers, at once or (on a busy machine) soon."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        if run_in_network_namespace(pid, lambda: connect(HostPort.parse(to))).worked:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


# --- comparing -------------------------------------------------------------------------------------------------


def _iptables_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [
        f"{variant}tables: {line}"
        for variant in sorted(before.keys() | after.keys())
        for line in rule_differences(normalised(before.get(variant, "")), normalised(after.get(variant, "")))
    ]


def _compare(where: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _compare(f"{where}: {key}", before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from (f"{where}: is gone: {item}" for item in before if item not in after)
        yield from (f"{where}: appeared: {item}" for item in after if item not in before)
        if sorted(map(str, before)) == sorted(map(str, after)):
            yield f"{where}: in another order"
    else:
        yield f"{where}: was {before!r}, is {after!r}"


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Every string with the names in place of the addresses; longest first, whole addresses only."""
    if not names:
        return value
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(r"(?<![\w.:])(" + "|".join(map(re.escape, longest_first)) + r")(?![\w.]*\.?\d)")

    def rename(item: Any) -> Any:
        if isinstance(item, str):
            return pattern.sub(lambda match: names[match[1]], item)
        if isinstance(item, list):
            return sorted((rename(entry) for entry in item), key=str)
        if isinstance(item, dict):
            return {rename(key): rename(entry) for key, entry in item.items()}
        return item

    return rename(value)
