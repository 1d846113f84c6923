"""Fills a new host's directory from its record: overlay, identity, firewall variant, settings, engine, remedy."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

from remedy.errors import CommandError, LabError
from remedy.host.commands import run_command
from remedy.lab.cgroups import joining, make_place
from remedy.lab.inner_paths import UpperLayer
from remedy.lab.interpreter import install_remedy
from remedy.lab.layout import Layout, Place
from remedy.lab.records import HostRecord, external_address4

_ALTERNATIVES = tuple(f"{family}{tool}" for family in ("iptables", "ip6tables") for tool in ("", "-save", "-restore"))
_ENGINE_PLACES = ("/usr/sbin", "/usr/bin", "/usr/libexec/docker", "/usr/lib/docker", "/usr/local/sbin")

_FIREWALL_UNIT = """\
[Unit]
Description=The host's own firewall rules, as its topology says
DefaultDependencies=no
Before=network-pre.target docker.service
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '[ ! -s /etc/lab/iptables.rules ] || iptables-restore --noflush /etc/lab/iptables.rules'
ExecStart=/bin/sh -c '[ ! -s /etc/lab/ip6tables.rules ] || ip6tables-restore --noflush /etc/lab/ip6tables.rules'
ExecStart=/bin/sh -c '[ ! -s /etc/lab/nftables.conf ] || nft -f /etc/lab/nftables.conf'
[Install]
WantedBy=multi-user.target
"""


def prepare_host(layout: Layout, record: HostRecord, template: Path | None) -> None:
    """Fill the host's directory: overlay, identity, the topology's files, Docker's template."""
    directory = layout.host_directory(record.name)
    make_place(layout, layout.host_place(record.name))
    for part in ("upper", "work", "root", "containerd"):
        (directory / part).mkdir()
    if template is None:
        (directory / "docker").mkdir(mode=0o710)
    else:
        _copy_template(layout.host_place(record.name), template, directory / "docker")
    upper = UpperLayer(record.rootfs, directory / "upper")
    _write_identity(upper, record)
    _write_firewall(upper, record)
    _write_settings(upper, record)
    _install_engine(upper, record.engine_directory)
    mounts = install_remedy(upper, layout.cache)
    # Else systemd takes the first boot for an update: ldconfig, the message catalogue, system users, 0.2 s.
    upper.write("/etc/.updated", "")
    upper.write("/var/.updated", "")
    (directory / "mounts").write_text("".join(mount.line() for mount in mounts))
    addresses = [str(record.address4), str(record.address6), *record.topology.addresses]
    (directory / "addresses").write_text("".join(f"{address}\n" for address in addresses))


def _copy_template(place: Place, template: Path, docker: Path) -> None:
    """A host's own copy, but for the image's files: nobody writes to a layer, so they are shared by hard links."""

    def copy(*arguments: str) -> None:
        run_command(joining(place.visitors, "cp", "--archive", *arguments), timeout=300)

    docker.mkdir()
    shutil.copystat(template, docker)
    layers = template / "overlay2"
    own = [str(entry) for entry in template.iterdir() if entry != layers]
    into = f"--target-directory={docker}"
    copy(into, *own)
    try:
        copy("--link", into, str(layers))
    except CommandError:  # The cache is on another file system.
        copy("--reflink=auto", into, str(layers))


def _write_identity(upper: UpperLayer, record: HostRecord) -> None:
    upper.write("/etc/hostname", f"{record.name}\n")
    upper.write("/etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    upper.write("/etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{record.address4.ip} {record.name}\n")
    # Nobody answers there: names of the outside do not exist in a lab.
    upper.write("/etc/resolv.conf", f"nameserver {external_address4().ip}\noptions timeout:1 attempts:1\n")


def _write_firewall(upper: UpperLayer, record: HostRecord) -> None:
    for name in _ALTERNATIVES:
        family, dash, tool = name.partition("-")
        upper.link(f"/etc/alternatives/{name}", f"/usr/sbin/{family}-{record.firewall}{dash}{tool}")
    topology = record.topology
    files = {
        "iptables.rules": topology.iptables,
        "ip6tables.rules": topology.ip6tables,
        "nftables.conf": topology.nftables,
    }
    if any(files.values()):
        for name, content in files.items():
            upper.write(f"/etc/lab/{name}", content)
        upper.write("/etc/systemd/system/lab-firewall.service", _FIREWALL_UNIT)
        upper.link(
            "/etc/systemd/system/multi-user.target.wants/lab-firewall.service",
            "/etc/systemd/system/lab-firewall.service",
        )


def _write_settings(upper: UpperLayer, record: HostRecord) -> None:
    topology = record.topology
    # Like most servers with Docker; with 0 the engine sets FORWARD's policy to DROP and the sysctl to 1.
    sysctls = {"net.ipv4.ip_forward": 1, **topology.sysctls}
    upper.write("/etc/sysctl.d/90-lab.conf", "".join(f"{key} = {value}\n" for key, value in sysctls.items()))
    if topology.daemon_json is not None:
        text = topology.daemon_json
        content = text if isinstance(text, str) else json.dumps(text, indent=2) + "\n"
        upper.write("/etc/docker/daemon.json", content)
    for file in topology.files:
        if file.link_to is not None:
            upper.link(file.path, file.link_to)
        else:
            upper.write(file.path, file.content, int(file.mode, 8))


def _install_engine(upper: UpperLayer, directory: Path | None) -> None:
    """Put other executables (dockerd, docker-proxy, runc ...) where the root file system has theirs."""
    if directory is None:
        return
    programs = [path for path in sorted(directory.iterdir()) if path.is_file() and path.stat().st_mode & 0o111]
    if not programs:
        raise LabError("there is no executable in the engine's directory", where=str(directory))
    for program in programs:
        place = next((place for place in _ENGINE_PLACES if upper.exists(f"{place}/{program.name}")), "/usr/local/bin")
        upper.copy(program, f"{place}/{program.name}")
