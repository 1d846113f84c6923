"""Where the metrics are offered: a loopback address and port, or a unix socket. Never to other machines."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from remedy.errors import UsageError

EXAMPLES = "127.0.0.1:9417, [::1]:9417 or unix:/run/remedy/metrics.sock"
UNIX = "unix:"
SERVICE_DIRECTORY = Path("/run/remedy")  # the service's RuntimeDirectory=


@dataclass(frozen=True, slots=True)
class LoopbackAddress:
    """An address of the loopback interface."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether it is ::1."""
        return ":" in self.host


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """A unix socket, by its whole path."""

    path: Path


MetricsAddress = LoopbackAddress | SocketAddress


def parse_address(text: str) -> MetricsAddress:
    """Read 127.0.0.1:9417, [::1]:9417 or unix:/PATH. Raises UsageError for all else, and for what others reach."""
    if text.startswith(UNIX):
        return SocketAddress(_socket_path(text))
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(bare)
    except ValueError:
        raise _wrong(text, "that is no address with a port; names are not looked up") from None
    if address.version == 6 and bare == host:
        raise _wrong(text, "an IPv6 address stands in brackets before its port")
    if not address.is_loopback:
        raise _wrong(text, "other machines could read there who is connected with whom on this one")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise _wrong(text, "a port is a number from 1 to 65535")
    return LoopbackAddress(str(address), int(port))


def check_for_service(address: MetricsAddress) -> None:
    """Raises UsageError for a socket elsewhere than in the directory that the service has, and takes away again."""
    if isinstance(address, SocketAddress) and address.path.parent != SERVICE_DIRECTORY:
        raise UsageError(
            f"the service does not offer metrics at {UNIX}{address.path}",
            where="--metrics",
            why=f"its own directory is {SERVICE_DIRECTORY}, which comes and goes with it",
            next_step=f"--metrics {UNIX}{SERVICE_DIRECTORY}/metrics.sock",
        )


def _socket_path(text: str) -> Path:
    path = Path(text.removeprefix(UNIX))
    if not path.is_absolute() or ".." in path.parts or path.name == "" or not text.isprintable():
        raise _wrong(text, "a socket is named by its whole path")
    return path


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"metrics are not offered at {text!r}", where="--metrics", why=why, next_step=EXAMPLES)
