"""Rules and settings that are not Docker's: what operators and other programs leave on a host."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from remedy.lab.topology import Container, Network
from remedy.truth.outside import CLIENT, CLIENT_OTHER, HOST_ADDRESS, HOST_OTHER, HOST_SECOND

OWN_PORT, REDIRECTED_PORT, NFT_PORT = 7100, 7101, 7102


@dataclass(frozen=True, slots=True)
class Ground:
    """What rules can be about."""

    chance: random.Random
    containers: Sequence[Container]
    networks: Sequence[Network]

    def port(self) -> int:
        """A published port of the host, or one that nobody has."""
        ports = [p.host_port for c in self.containers for p in c.publish if p.host_port]
        return self.chance.choice(ports) if ports else 5999

    def subnet(self) -> str:
        """The subnet of any network, the default bridge's among them."""
        subnets = [str(subnet) for network in self.networks for subnet in network.subnets if subnet.version == 4]
        return self.chance.choice(["172.17.0.0/16", *subnets])


def _docker_user(ground: Ground) -> list[str]:
    return [
        f"iptables -I DOCKER-USER -s {CLIENT_OTHER} -j DROP",
        f"iptables -I DOCKER-USER -i eth1 -p tcp -m conntrack --ctorigdstport {ground.port()} --ctstate NEW -j DROP",
        f"iptables -I DOCKER-USER -p tcp -m multiport --dports 8082,9000:9010 -s {ground.subnet()} -j REJECT",
    ]


def _rejects(ground: Ground) -> list[str]:
    ways = (
        "icmp-port-unreachable",
        "tcp-reset",
        "icmp-host-prohibited",
        "icmp-admin-prohibited",
        "icmp-net-unreachable",
    )
    return [
        f"iptables -I FORWARD -p tcp --dport {ground.chance.choice((8080, 8081))} -s {ground.subnet()} -j REJECT "
        f"--reject-with {ground.chance.choice(ways)}",
        f"iptables -I INPUT -p tcp --dport {ground.port()} -i docker0 -j REJECT --reject-with "
        f"{ground.chance.choice(ways)}",
        f"iptables -A OUTPUT -p tcp --dport {ground.port()} -m owner --uid-owner 12345 -j REJECT",
        f"ip6tables -I INPUT -p tcp --dport {ground.port()} -j REJECT",
        f"iptables -I FORWARD -p udp --dport 8081 -s {ground.subnet()} -j REJECT --reject-with icmp-host-unreachable",
    ]


def _ufw(ground: Ground) -> list[str]:
    lines = []
    for tool in ("iptables", "ip6tables"):
        lines += [
            f"{tool} -N ufw-before-input",
            f"{tool} -N ufw-before-forward",
            f"{tool} -N ufw-user-input",
            f"{tool} -A INPUT -j ufw-before-input",
            f"{tool} -A INPUT -j ufw-user-input",
            f"{tool} -A FORWARD -j ufw-before-forward",
            f"{tool} -A ufw-before-input -i lo -j ACCEPT",
            f"{tool} -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"{tool} -A ufw-before-input -m conntrack --ctstate INVALID -j DROP",
            f"{tool} -A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"{tool} -A ufw-user-input -p tcp -m tcp --dport 7003 -j ACCEPT",
            f"{tool} -P INPUT DROP",
            f"{tool} -P FORWARD DROP",
        ]
    lines.insert(0, "ip6tables -A INPUT -p ipv6-icmp -j ACCEPT")
    lines.append(
        f"iptables -A ufw-user-input -p tcp -m multiport --dports 7001,{ground.port()} -s 172.16.0.0/12 -j ACCEPT"
    )
    return lines


def _own_nat(ground: Ground) -> list[str]:
    target = ground.chance.randint(2, 4)
    return [
        f"iptables -t nat -A PREROUTING -d {HOST_ADDRESS}/32 -p tcp --dport {OWN_PORT} -j DNAT "
        f"--to-destination 172.17.0.{target}:8080",
        f"iptables -t nat -A PREROUTING -p tcp --dport {REDIRECTED_PORT} -j REDIRECT --to-ports 7003",
        f"iptables -t nat -I OUTPUT -d {HOST_SECOND}/32 -p tcp --dport {OWN_PORT} -j DNAT "
        f"--to-destination 172.17.0.{target}:8081",
        f"iptables -t nat -I POSTROUTING -s {ground.subnet()} -o eth1 -p tcp --dport 9000 -j SNAT "
        f"--to-source {HOST_SECOND}",
    ]


def _marks(ground: Ground) -> list[str]:
    port = ground.port()
    return [
        f"iptables -t mangle -A PREROUTING -p tcp --dport {port} -j MARK --set-xmark 0x10/0xff",
        "iptables -t mangle -A PREROUTING -m mark --mark 0x10/0xff -j CONNMARK --save-mark",
        f"iptables -I FORWARD -m connmark --mark 0x10 -s {ground.subnet()} -j DROP",
        f"iptables -I INPUT -m mark --mark 0x10/0x10 -s {ground.subnet()} -j DROP",
    ]


def _notrack(ground: Ground) -> list[str]:
    return [
        f"iptables -t raw -A PREROUTING -p tcp --dport 8082 -s {ground.subnet()} -j CT --notrack",
        f"iptables -t raw -A OUTPUT -p tcp --dport 7003 -d {HOST_ADDRESS} -j CT --notrack",
    ]


def _new_only(ground: Ground) -> list[str]:
    return [
        f"iptables -I FORWARD -i eth1 -s {CLIENT_OTHER} -p tcp -j DROP",
        f"iptables -I FORWARD -i eth1 -s {CLIENT_OTHER} -p tcp -m conntrack --ctstate NEW -j ACCEPT",
        f"iptables -I INPUT -p tcp --dport 7003 -s {ground.subnet()} ! --syn -j DROP",
    ]


def _goto(ground: Ground) -> list[str]:
    return [
        "iptables -N ops",
        "iptables -N ops-end",
        f"iptables -I FORWARD -p tcp -m tcp --dport 8080 ! -s {ground.subnet()} -j ops",
        "iptables -A ops -p tcp --tcp-flags SYN,ACK,FIN,RST SYN -g ops-end",
        "iptables -A ops -m conntrack --ctstate ESTABLISHED -j RETURN",
        "iptables -A ops -j DROP",
        f"iptables -A ops-end -m iprange --src-range {CLIENT_OTHER}-{CLIENT} -j RETURN",
        "iptables -A ops-end -m addrtype --src-type LOCAL -j ACCEPT",
        "iptables -A ops-end -m physdev --physdev-is-bridged -j RETURN",
        "iptables -A ops-end -m limit --limit 1/min -j LOG",
    ]


def _nft_filter(ground: Ground) -> list[str]:
    text = f"""
table inet filter {{
    set blocked {{ type ipv4_addr; flags interval; elements = {{ {CLIENT_OTHER}, 198.18.0.0/15 }} }}
    set ports {{ type inet_service; elements = {{ {ground.port()}, 8082 }} }}
    map actions {{ type inet_service : verdict; elements = {{ 7003 : jump services, 7004 : drop }} }}
    chain services {{ ip saddr {ground.subnet()} reject with tcp reset; accept }}
    chain forward {{
        type filter hook forward priority filter + 10; policy accept;
        ct state vmap {{ established : accept, related : accept, invalid : drop }}
        tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
        iifname "eth1" ip saddr @blocked counter drop
        ct status dnat accept
        iifname "br-*" oifname "docker0" tcp dport @ports reject with icmpx type admin-prohibited
        meta mark set 0x7 ct mark set mark
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        ct state {{ established, related }} accept
        iif "lo" accept
        tcp dport vmap @actions
        meta l4proto {{ tcp, udp }} th dport {ground.port()} ip saddr != {ground.subnet()} drop
        ip protocol icmp accept
    }}
    chain output {{
        type filter hook output priority filter; policy accept;
        oifname != "lo" ip daddr . tcp dport {{ 172.17.0.2 . 8081, 172.17.0.3 . 8082 }} reject
    }}
}}"""
    return [f"nft -f - <<'RULES'{text}\nRULES"]


def _nft_nat(ground: Ground) -> list[str]:
    text = f"""
table ip own {{
    map servers {{ type inet_service : ipv4_addr . inet_service; elements = {{ {NFT_PORT} : 172.17.0.2 . 8080 }} }}
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr {HOST_ADDRESS} dnat ip to tcp dport map @servers
        fib daddr type local tcp dport {ground.port()} ip saddr {CLIENT_OTHER} dnat to 172.17.0.2:8081
    }}
    chain output {{
        type nat hook output priority -105; policy accept;
        ip daddr {HOST_OTHER} tcp dport {NFT_PORT} dnat to 172.17.0.2:8080
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat - 5; policy accept;
        ct original proto-dst {NFT_PORT} ip daddr 172.17.0.2 masquerade
    }}
}}"""
    return [f"nft -f - <<'RULES'{text}\nRULES"]


def _firewalld(ground: Ground) -> list[str]:
    text = f"""
table inet firewalld {{
    chain mangle_PREROUTING {{ type filter hook prerouting priority mangle + 10; policy accept; }}
    chain rpfilter {{
        type filter hook prerouting priority raw + 10; policy accept;
        icmpv6 type {{ nd-router-advert, nd-neighbor-solicit }} accept
        meta nfproto ipv6 fib saddr . mark . iif oif missing drop
    }}
    chain filter_INPUT {{
        type filter hook input priority filter + 10; policy accept;
        ct state {{ established, related }} accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        jump zones
        reject with icmpx admin-prohibited
    }}
    chain filter_FORWARD {{
        type filter hook forward priority filter + 10; policy accept;
        ct state {{ established, related }} accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        ip6 daddr {{ ::/96, ::ffff:0.0.0.0/96, 2002::/24 }} reject with icmpv6 type addr-unreachable
        jump policies
        reject with icmpx admin-prohibited
    }}
    chain zones {{
        iifname "eth1" goto public
        iifname {{ "docker0", "br-*" }} goto docker
        goto public
    }}
    chain public {{
        tcp dport {{ 22, 7003 }} accept
        tcp dport {ground.port()} ct state {{ new, untracked }} accept
        meta l4proto {{ icmp, ipv6-icmp }} accept
    }}
    chain docker {{ accept }}
    chain policies {{ iifname "docker0" accept; iifname . oifname {{ "br-plain1" . "eth1" }} accept }}
}}"""
    return [f"nft -f - <<'RULES'{text}\nRULES"]


CATALOGUE: dict[str, Callable[[Ground], list[str]]] = {
    "docker-user": _docker_user,
    "rejects": _rejects,
    "ufw": _ufw,
    "own-nat": _own_nat,
    "marks": _marks,
    "notrack": _notrack,
    "goto": _goto,
    "new-only": _new_only,
    "nft-filter": _nft_filter,
    "nft-nat": _nft_nat,
    "firewalld": _firewalld,
}


def random_rules(ground: Ground) -> tuple[tuple[str, ...], list[str]]:
    """Up to three kinds of rules; their names, and the shell lines that add them."""
    names = ground.chance.sample(sorted(CATALOGUE), ground.chance.randint(0, 4))
    return tuple(names), [line for name in names for line in CATALOGUE[name](ground)]


def random_settings(chance: random.Random) -> dict[str, list[str]]:
    """Settings of the kernel that change who reaches whom, as shell lines."""
    choices = {
        "rp_filter 1": ["sysctl -qw net.ipv4.conf.all.rp_filter=1"],
        "rp_filter 2": ["sysctl -qw net.ipv4.conf.all.rp_filter=2"],
        "rp_filter 1 on eth1": ["sysctl -qw net.ipv4.conf.eth1.rp_filter=1"],
        "ip_forward 0": ["sysctl -qw net.ipv4.ip_forward=0"],
        "forwarding 0 on docker0": ["sysctl -qw net.ipv4.conf.docker0.forwarding=0"],
        "route_localnet": ["sysctl -qw net.ipv4.conf.docker0.route_localnet=1"],
        "route_localnet everywhere": ["sysctl -qw net.ipv4.conf.all.route_localnet=1"],
        "accept_local": ["sysctl -qw net.ipv4.conf.all.accept_local=1"],
        "policy routing": [
            f"ip rule add from {HOST_SECOND} table 100 priority 100",
            "ip route add default via 203.0.113.66 table 100",
            "ip rule add fwmark 0x10/0xff table 101 priority 101",
            "ip route add blackhole 172.30.2.0/24 table 101",
        ],
        "unreachable subnet": ["ip route add unreachable 192.0.2.0/25", "ip route add blackhole 192.0.2.128/25"],
    }
    return {name: choices[name] for name in chance.sample(sorted(choices), chance.choice((0, 1, 1, 2)))}
