#!/bin/sh
# Everything on a Docker host that remedy may touch, in an order of its own: what is the same prints the same.
set -eu

if [ -e /etc/docker/daemon.json ]; then
  stat --format 'daemon.json %a %u %g' /etc/docker/daemon.json
  sha256sum /etc/docker/daemon.json
fi
for save in iptables-save ip6tables-save; do
  # Rules as a multiset: every restart of the engine writes its own anew, in another order. Without policies of ACCEPT:
  # the kernel cannot forget a table of iptables-legacy once it was asked for, and an empty one does nothing.
  "$save" | sed 's/\[[0-9]*:[0-9]*\]//' |
    awk -v save="$save" '/^\*/ { table = $0 } !/^([*#]|COMMIT|:[^ ]+ ACCEPT)/ { print save, table, $0 }' | sort
done
! command -v nft >/dev/null || nft list tables | sort
# Not by a pattern in /proc/sys: a listing there can miss an interface while another one goes.
for device in all default $(ls /sys/class/net); do
  echo "$device route_localnet $(cat "/proc/sys/net/ipv4/conf/$device/route_localnet")"
done
grep --with-filename . /sys/class/net/*/brport/hairpin_mode
docker ps --quiet --no-trunc | sort |
  xargs --no-run-if-empty docker inspect --format '{{.Id}} {{.State.Pid}} {{.State.StartedAt}}'
docker info --format 'live-restore {{.LiveRestoreEnabled}}'
echo "docker-proxy $(pgrep --count --full '^/usr/.*docker-proxy')" || true
