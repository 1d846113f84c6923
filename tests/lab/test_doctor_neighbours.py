"""What the doctor says that neighbours reach, they do reach; and what it does not say, they do not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from operating import Operator

pytestmark = pytest.mark.lab

TOPOLOGY = Path(__file__).parent / "topologies" / "on-loopback.yaml"
# A SYN for an address that no routing table would send anywhere, straight to the host's hardware address; "answered" if
# a SYN-ACK comes back from there. argv: the host's own address, the address to ask for, the port.
KNOCK = """\
import socket, struct, subprocess, sys, time
host, to, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
# A host that had this address before is remembered for a while.
subprocess.run(["ip", "neigh", "flush", "to", host], check=True)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", (host, 9)); time.sleep(0.3)  # so that ARP asks
route = subprocess.run(["ip", "route", "get", host], capture_output=True, text=True).stdout.split()
interface, own = route[route.index("dev") + 1], route[route.index("src") + 1]
line = subprocess.run(["ip", "neigh", "show", host, "dev", interface], capture_output=True, text=True).stdout.split()
mac = bytes.fromhex(line[line.index("lladdr") + 1].replace(":", ""))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
wire.bind((interface, 0x0800)); wire.settimeout(0.2)
mine = wire.getsockname()[4]
def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16: total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
source, target = socket.inet_aton(own), socket.inet_aton(to)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, source, target)
ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
tcp = struct.pack("!HHIIBBHHH", 45123, port, 7, 0, 0x50, 2, 4096, 0, 0)
tcp = tcp[:16] + struct.pack("!H", checksum(source + target + struct.pack("!BBH", 0, 6, 20) + tcp)) + tcp[18:]
wire.send(mac + mine + b"\\x08\\x00" + ip + tcp)
end = time.monotonic() + 2
while time.monotonic() < end:
    try: frame = wire.recv(2048)
    except TimeoutError: continue
    if frame[26:30] == target and frame[34:38] == struct.pack("!HH", port, 45123) and frame[47] & 0x12 == 0x12:
        print("answered"); break
else: print("silence")
"""


def knock(host, to, port):
    return host.external.run([sys.executable, "-c", KNOCK, host.address, to, str(port)], timeout=30).stdout.strip()


@pytest.mark.parametrize(("engine", "answer"), [("20.10", "answered"), ("28.5", "silence")])
def test_neighbours_reach_what_the_doctor_says(engine, answer, lab_host):
    host = lab_host(engine=engine, topology=TOPOLOGY)
    operator = Operator(host)
    (inner,) = [
        network["IPAddress"]
        for network in host.docker().api.inspect_container("inner")["NetworkSettings"]["Networks"].values()
    ]
    codes = {finding["code"] for finding in operator.json("doctor")["findings"]}

    assert ("loopback-port-exposed" in codes) == (answer == "answered")
    assert knock(host, "127.0.0.1", 5001) == answer
    assert ("unpublished-ports-open" in codes) == (knock(host, inner, 8080) == "answered")


def test_what_the_doctor_recommends_closes_the_port(lab_host):
    host = lab_host(engine="20.10", topology=TOPOLOGY)
    host.run(["bash", "-c", "iptables -t raw -I PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP"])
    codes = {finding["code"] for finding in Operator(host).json("doctor")["findings"]}
    assert "loopback-port-exposed" not in codes
    assert knock(host, "127.0.0.1", 5001) == "silence"
