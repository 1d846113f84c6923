#!/bin/sh
# Files and units that bear remedy's name, wherever they may be. The journal may tell what happened.
set -eu

{
  find / -xdev \( -path /var/lib/docker -o -path /var/log \) -prune -o -name '*remedy*' -print
  find /run /tmp -xdev -name '*remedy*'
  systemctl list-unit-files --all --plain --no-legend '*remedy*'
  systemctl list-units --all --plain --no-legend '*remedy*'
} | sort
