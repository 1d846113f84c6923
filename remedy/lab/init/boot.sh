#!/bin/sh
# The first process of a lab host: makes the machine that systemd expects, then becomes systemd.
#
# boot.sh NAME ROOTFS PORT SWITCH_NETNS GATEWAY4 GATEWAY6, in the host's directory, already in new network, mount,
# uts, ipc, pid and cgroup namespaces. Reads ./addresses (one ADDRESS/LENGTH a line) and ./mounts (KIND, SOURCE,
# TARGET separated by tabs). The /proc that is mounted now still shows the machine's processes.
set -eu
name=$1 rootfs=$2 port=$3 switch=$4 gateway4=$5 gateway6=$6
exec < /dev/null >> console.log 2>&1
umask 022
echo "$name" > /proc/sys/kernel/hostname

# The cable to the switch. Both ends are made in their namespaces, so the machine's own never sees them.
ip link set lo up
ip link add eth0 type veth peer name "$port" netns "$switch"
nsenter --net="$switch" ip link set "$port" master lan up
ip link set eth0 up
while read -r address; do
    case $address in
        *:*) ip address add "$address" dev eth0 nodad ;;
        *) ip address add "$address" dev eth0 ;;
    esac
done < addresses
ip route add default via "$gateway4"
ip -6 route add default via "$gateway6"

mount -t overlay remedy-lab -o "lowerdir=$rootfs,upperdir=$PWD/upper,workdir=$PWD/work" root
mkdir -p root/var/lib/docker root/var/lib/containerd
mount --bind docker root/var/lib/docker
mount --bind containerd root/var/lib/containerd

cd root
mount -t proc -o nosuid,nodev,noexec proc proc
# systemd would raise the machine's fs.nr_open and fs.file-max; only net.* belongs to this host alone.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,rw proc/sys/net
# Every boot has an identifier; the machine's would say that a rebooted host never was.
cat proc/sys/kernel/random/uuid > ../boot_id
mount --bind ../boot_id proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys/kernel/random/boot_id
# A `b` written here would reboot the machine.
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup

mount -t tmpfs -o nosuid,mode=755,size=4m dev dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm dev/mqueue
mount -t devpts -o newinstance,nosuid,noexec,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o nosuid,nodev shm dev/shm
mount -t mqueue -o nosuid,nodev,noexec mqueue dev/mqueue
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o nosuid,nodev,mode=755 run run
mount -t tmpfs -o nosuid,nodev tmp tmp

# Last, since a source may lie below /tmp or /run.
while IFS='	' read -r kind source target; do
    case $kind in
        directory) mkdir -p ".$target" ;;
        file) mkdir -p ".${target%/*}" && touch ".$target" ;;
        stack) mkdir -p ".$target" && mount -t overlay remedy-lab -o "ro,lowerdir=$source" ".$target" && continue ;;
    esac
    mount --bind "$source" ".$target"
    mount -o remount,bind,ro ".$target"
done < ../mounts

pivot_root . mnt
cd /
umount -l /mnt
# container=lxc makes systemd leave the machine's clock, swap, devices and kernel settings alone.
exec env -i container=lxc LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
