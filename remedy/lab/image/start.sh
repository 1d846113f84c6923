#!/bin/sh
# The container image's entry point: start.sh ROLE, or any other program with its arguments.
# LAB_NAME is the name to answer with, LAB_LISTEN the ports, separated by blanks.
set -eu
name=${LAB_NAME:-$(cat /etc/hostname)}
ports=${LAB_LISTEN:-8080}
case ${1:-idle} in
    nginx)
        mkdir -p /run/www
        kibibyte=$(printf '%1024s' '' | tr ' ' x)
        truncate -s 100M /run/www/100m
        for port in $ports; do echo "listen $port backlog=4096; listen [::]:$port backlog=4096;"; done > /run/listen.conf
        sed "s/@NAME@/$name/g; s/@KIBIBYTE@/$kibibyte/" /lab/nginx.conf > /run/nginx.conf
        exec nginx -c /run/nginx.conf
        ;;
    haproxy)
        exec haproxy -W -db -f /usr/local/etc/haproxy/haproxy.cfg
        ;;
    echo)
        for port in $ports; do
            LAB_NAME=$name socat -T 5 "UDP6-RECVFROM:$port,fork,reuseaddr,ipv6only=0" EXEC:/lab/answer.sh &
            LAB_NAME=$name socat -T 5 "TCP6-LISTEN:$port,fork,reuseaddr,ipv6only=0" EXEC:/lab/answer.sh &
        done
        trap 'exit 0' TERM INT
        wait
        ;;
    idle)
        trap 'exit 0' TERM INT
        sleep infinity &
        wait
        ;;
    *)
        exec "$@"
        ;;
esac
