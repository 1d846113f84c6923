"""docker-proxy processes, from their command lines."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from itertools import pairwise

from remedy.facts.model import DockerProxy, Protocol
from remedy.facts.processes import Process, read_cpu_seconds, read_resident_bytes

PROXY_PROGRAM = "docker-proxy"


def read_proxies(processes: Sequence[Process], engine_pid: int | None) -> tuple[DockerProxy, ...]:
    """Return the proxies among `processes` that are children of the engine (of any, where it is not known).

    Another engine's proxies, and a container's process that calls itself docker-proxy, are not ours.
    """
    ours = (process for process in processes if engine_pid is None or process.parent == engine_pid)
    parsed = (parse_proxy(process, read_resident_bytes(process.pid)) for process in ours)
    return tuple(_with_processor_time(proxy) for proxy in parsed if proxy is not None)


def _with_processor_time(proxy: DockerProxy) -> DockerProxy:
    used = read_cpu_seconds(proxy.pid)
    if used is None:
        return proxy
    return proxy.model_copy(update={"cpu_seconds": round(used[0], 2), "age_seconds": round(used[1], 2)})


def parse_proxy(process: Process, resident_bytes: int | None = None) -> DockerProxy | None:
    """Read a command line like `docker-proxy -proto tcp -host-ip :: -host-port 1 -container-ip ...`."""
    arguments = process.arguments
    options = {name.lstrip("-"): value for name, value in pairwise(arguments) if name.startswith("-")}
    try:
        return DockerProxy(
            pid=process.pid,
            protocol=Protocol(options["proto"]),
            host_address=ip_address(options["host-ip"]),
            host_port=int(options["host-port"]),
            container_address=ip_address(options["container-ip"]),
            container_port=int(options["container-port"]),
            resident_bytes=resident_bytes,
            command_line=arguments,
        )
    except (KeyError, ValueError):
        # A proxy between fork and exec has dockerd's command line; the next reading will see it.
        return None
