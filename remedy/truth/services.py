"""A small server of many sockets, as the text of a Python program: for the host itself and the machine outside."""

from __future__ import annotations

from collections.abc import Sequence

# Arguments: the name to answer with, then PROTOCOL,ADDRESS,PORT each. It ends with its standard input.
PROGRAM = r"""
import selectors, socket, sys
name, selector = sys.argv[1], selectors.DefaultSelector()
for word in sys.argv[2:]:
    protocol, address, port = word.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind((address, int(port)))
    if protocol == "tcp":
        server.listen(256)
    selector.register(server, selectors.EVENT_READ, protocol)
print("ready", flush=True)
def answer(peer):
    return ("name=%s src=%s sport=%d\n" % (name, peer[0], peer[1])).encode()
while True:
    for key, _ in selector.select():
        try:
            if key.data == "udp":
                peer = key.fileobj.recvfrom(4096)[1]
                key.fileobj.sendto(answer(peer), peer)
            else:
                channel, peer = key.fileobj.accept()
                channel.sendall(answer(peer))
                channel.shutdown(socket.SHUT_WR)
                channel.settimeout(0.5)
                channel.recv(4096)
                channel.close()
        except OSError:
            pass
"""


def service_command(name: str, sockets: Sequence[str]) -> list[str]:
    """The command that serves `tcp,203.0.113.10,7003` and others, and says "ready" when it does."""
    return ["python3", "-c", PROGRAM, name, *sockets]
