"""`remedy watch --install`: the watcher as a systemd service, which starts with the host and after the engine.

Hardened as far as its work allows: it enters network namespaces (setns), reads other processes' /proc, writes rules,
net.* sysctls, hairpin_mode below /sys, and resolv.conf of containers that it connects to a network.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from remedy.apply.settings import Settings
from remedy.errors import CommandError, RefusedError
from remedy.facts.systemd import WATCHER_UNIT, unseen_place
from remedy.host.units import install_unit, quoted, remove_unit, systemd_is_init
from remedy.watch.command import ENVIRONMENT, command_line
from remedy.watch.metrics.address import SERVICE_DIRECTORY, UNIX

UNIT = WATCHER_UNIT
START_SECONDS = 90.0

# Not ProtectKernelTunables (hairpin_mode and route_localnet are such), and no MemoryDenyWriteExecute (python-iptables
# makes its callbacks by libffi). Capabilities: SYS_ADMIN for setns; SYS_CHROOT for the engine's mount namespace, whose
# iptables is the one that counts; SYS_PTRACE for /proc/PID/ns of containers; DAC_* for resolv.conf and hosts of
# containers, which may be anybody's; NET_RAW for iptables-legacy's socket. Not SYS_MODULE: the kernel loads netfilter's
# modules by itself. Of IP only loopback: the engine's DNS is asked within a container's network, metrics are offered.
_SERVICE = """\
[Unit]
Description=remedy watch: keeps Docker's networking as it was applied while containers come and go
After=docker.service
StartLimitIntervalSec=300
StartLimitBurst=20

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Environment={environment}
Restart=on-failure
RestartSec=1
TimeoutStartSec=80
TimeoutStopSec=60
WatchdogSec=120
OOMScoreAdjust=-100
UMask=0077
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_CHROOT
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=read-only
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
DevicePolicy=closed
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=net mnt
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
IPAddressDeny=any
IPAddressAllow=localhost
SystemCallArchitectures=native
SystemCallFilter=@system-service
{directory}
[Install]
WantedBy=multi-user.target
"""

# For the metrics' socket; systemd makes it, and takes it away whenever the service ends, however that was.
_DIRECTORY = f"RuntimeDirectory={SERVICE_DIRECTORY.name}\n"


def install_watcher(settings: Settings, spec_path: Path, extra: tuple[str, ...] = ()) -> None:
    """Install (or install again, with these settings) and start it; return once it has looked at everything.

    extra: more options of `remedy watch`. Raises RefusedError (no systemd; something lies in /tmp), CommandError
    (it does not start).
    """
    if not systemd_is_init():
        raise RefusedError(
            "remedy watch --install needs systemd",
            why="the watcher is a systemd service, so that it comes back after a crash and a reboot",
            next_step="run `remedy watch` under the supervisor that this host has",
        )
    check_is_seen(spec_path)
    remove_unit(UNIT)
    try:
        install_unit(UNIT, unit_text(settings, spec_path, extra), start_timeout=START_SECONDS)
    except CommandError as error:
        remove_unit(UNIT)
        error.next_step = f"journalctl -u {UNIT} tells why; nothing was left installed"
        raise


def restore_watcher(text: str, *, start: bool) -> None:
    """The service as its file was before; one that did not run is not started. Raises CommandError, OSError."""
    remove_unit(UNIT)
    install_unit(UNIT, text, start=start, start_timeout=START_SECONDS)


def options_of(text: str | None) -> tuple[str, ...]:
    """What the service of this file was installed with beyond remedy.yaml and the engine: its metrics' address."""
    found = re.search(r'"--metrics" "([^"\\%$]+)"', text or "")
    return () if found is None else ("--metrics", found[1])


def check_is_seen(spec_path: Path) -> None:
    """A service with PrivateTmp sees an empty /tmp. Told before anything is changed. Raises RefusedError."""
    for path in (Path(sys.executable), spec_path):
        place = os.path.abspath(path)  # noqa: PTH100 (as in unit_text)
        hidden = unseen_place(place)
        if hidden is not None:
            raise RefusedError(
                f"the service would not find {place}",
                why=f"it does not see {hidden}, which anybody may write to",
                next_step="keep remedy.yaml in /etc/remedy and remedy itself in /opt/remedy, for example",
            )


def uninstall_watcher() -> bool:
    """Stop and remove it; whether it was there. What is applied stays. Raises CommandError, OSError."""
    return remove_unit(UNIT)


def unit_text(settings: Settings, spec_path: Path, extra: tuple[str, ...] = ()) -> str:
    """The service's file."""
    words = command_line(spec_path, settings.daemon_json_path, extra)
    variables = (
        f"REMEDY_STATE_DIR={settings.state_dir}",
        f"DOCKER_HOST={settings.socket}",
        *(f"{name}={value}" for name, value in ENVIRONMENT.items()),
    )
    return _SERVICE.format(
        command=" ".join(quoted(word) for word in words),
        environment=" ".join(quoted(word) for word in variables),
        directory=_DIRECTORY if any(word.startswith(UNIX) for word in extra) else "",
    )
