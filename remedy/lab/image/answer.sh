#!/bin/sh
# Answers one datagram or one line: who answered, whom it saw, and what it was told.
read -r said || true
echo "name=$LAB_NAME src=${SOCAT_PEERADDR:-} said=$said"
