#!/bin/sh
# join.sh CGROUP PROGRAM [ARGUMENT...]: joins the cgroup, then becomes the program.
# When the cgroup has been removed meanwhile (the client was killed, somebody cleaned up), nothing is started.
set -eu
echo 0 > "$1/cgroup.procs"
shift
exec "$@"
