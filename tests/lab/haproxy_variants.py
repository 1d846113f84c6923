"""haproxies of every kind on one lab host: how each is started, and where its configuration lies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from remedy.lab import Host

IMAGE = "remedy-lab:latest"
SHELLLESS = "shellless:latest"
INSIDE = "/usr/local/etc/haproxy/haproxy.cfg"
DEFAULTS = """\
global
    log stdout format raw local0 notice
    hard-stop-after 20s{more}
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
resolvers docker
    nameserver dns 127.0.0.11:53
    hold nx 5s
"""
# Tabs and blanks stand where operators put them.
SERVING = """\
frontend web
    bind :8080
    default_backend api
backend api
\tbalance  roundrobin
    server api1 172.17.0.1:5001 check inter 500 resolvers docker init-addr last,libc,none  # the first
    server api2 172.17.0.1:5002\tcheck inter 500 resolvers docker init-addr last,libc,none
"""
UNIT = "haproxy.service"
UNIT_FILE = """\
[Service]
Type=notify
Environment=LD_LIBRARY_PATH=/opt/haproxy/lib
ExecStart=/opt/haproxy/haproxy -Ws -f /etc/haproxy/haproxy.cfg
ExecReload=/bin/kill -USR2 $MAINPID
"""
SOCKET = "\n    stats socket /var/run/haproxy.sock mode 600 level admin"


@dataclass(frozen=True, slots=True)
class Variant:
    """files: on the host, by path; run: the arguments of docker run after the name, image and command included."""

    name: str
    files: dict[str, str]
    run: tuple[str, ...]
    inside: dict[str, str] | None = None  # copied into the container instead
    how: str = "reload"
    uid: int = 0

    def renamed(self, name: str) -> Variant:
        """Another one of the same kind."""
        files = {path.replace(self.name, name): text for path, text in self.files.items()}
        return replace(self, name=name, files=files, run=tuple(word.replace(self.name, name) for word in self.run))


def variants() -> Iterator[Variant]:
    """Each with a name that says what is special about it."""
    whole = DEFAULTS.format(more="") + SERVING
    with_socket = DEFAULTS.format(more=SOCKET) + SERVING
    yield Variant("lb-plain", {"/srv/lb-plain/haproxy.cfg": whole}, (*_mount("lb-plain", "ro"), IMAGE, "haproxy"))
    yield Variant(
        "lb-crlf",
        {"/srv/lb-crlf/haproxy.cfg": with_socket.replace("\n", "\r\n")},
        (*_mount("lb-crlf", "rw"), IMAGE, "haproxy"),
    )
    yield Variant(
        "lb-directory",
        {
            "/srv/lb-directory/global.cfg": DEFAULTS.format(more=""),
            "/srv/lb-directory/conf.d/10-api.cfg": SERVING + "\n",
        },
        (
            *("-v", "/srv/lb-directory:/etc/hap:ro", "-w", "/etc/hap", "--user", "99:99", "--entrypoint", "haproxy"),
            *("--sysctl", "net.ipv4.ip_unprivileged_port_start=0", IMAGE, "-W", "-db", "-f", "global.cfg"),
            *("-f", "/etc/hap/conf.d"),
        ),
        uid=99,
    )
    yield Variant("lb-baked", {}, (IMAGE, "haproxy"), inside={INSIDE: with_socket}, how="runtime")
    yield Variant(
        "lb-single",
        {"/srv/lb-single/haproxy.cfg": whole},
        (*_mount("lb-single", "ro"), "--stop-timeout", "1", "--entrypoint", "haproxy", IMAGE, "-db", "-f", INSIDE),
        how="restart",
    )
    yield Variant(
        "lb-read-only",
        {"/srv/lb-read-only/haproxy.cfg": whole},
        (
            *(*_mount("lb-read-only", "ro"), "--read-only", "--tmpfs", "/run", "--entrypoint", "haproxy", IMAGE),
            *("-W", "-db", "-S", "/run/master.sock", "-f", INSIDE),
        ),
    )
    yield Variant(
        "lb-shellless",
        {"/srv/lb-shellless/haproxy.cfg": whole},
        (*_mount("lb-shellless", "ro"), "--read-only", SHELLLESS, "-W", "-db", "-f", INSIDE),
    )


def _mount(name: str, mode: str) -> tuple[str, ...]:
    return "-v", f"/srv/{name}/haproxy.cfg:{INSIDE}:{mode}"


def start(host: Host, variant: Variant) -> None:
    """Start it, and join it and its network."""
    for path, text in variant.files.items():
        host.run(["mkdir", "-p", path.rpartition("/")[0]])
        host.write_file(path, text)
        host.run(["chmod", "0640", path])
        host.run(["chown", f"{variant.uid}:{variant.uid}", path])
    host.run(["docker", "create", "--name", variant.name, *variant.run])
    for path, text in (variant.inside or {}).items():
        host.write_file("/root/inside", text)
        host.run(["docker", "cp", "/root/inside", f"{variant.name}:{path}"])
    host.run(["docker", "start", variant.name])
    host.run(["docker", "network", "connect", "lb", variant.name])


def make_shellless_image(host: Host) -> None:
    """An image with haproxy, the libraries that it is linked with, and nothing else."""
    pack = "tar -chf - /usr/sbin/haproxy $(ldd /usr/sbin/haproxy | grep -o '/[^ ]*')"
    image = f"docker run --rm --entrypoint sh {IMAGE} -c {shlex.quote(pack)} 2>/dev/null"
    entry = "docker import -c 'ENTRYPOINT [\"/usr/sbin/haproxy\"]' -"
    host.run(["sh", "-c", f"{image} | {entry} {SHELLLESS}"], timeout=120)


def install_unit(host: Host) -> None:
    """A haproxy of the host, with the image's program and libraries, but the host's C library."""
    others = "ldd /usr/sbin/haproxy | grep -v 'libc\\.\\|libm\\.\\|ld-linux\\|vdso' | grep -o '/[^ ]*'"
    pack = f"tar -chf - --transform 's,.*/,,' /usr/sbin/haproxy $({others})"
    image = f"docker run --rm --entrypoint sh {IMAGE} -c {shlex.quote(pack)} 2>/dev/null"
    host.run(["mkdir", "-p", "/opt/haproxy/lib", "/etc/haproxy"])
    host.run(["sh", "-c", f"{image} | tar -xf - -C /opt/haproxy/lib && mv /opt/haproxy/lib/haproxy /opt/haproxy/"])
    config = DEFAULTS.format(more="") + SERVING.replace(":8080\n", ":8088\n", 1)
    host.write_file("/etc/haproxy/haproxy.cfg", config)
    host.write_file(f"/etc/systemd/system/{UNIT}", UNIT_FILE)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", UNIT])
