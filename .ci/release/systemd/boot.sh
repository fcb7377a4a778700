#!/bin/bash
# Boots systemd as the init process of a machine of its own: in namespaces that
# unshare(1) has made, with the distribution's files below overlays that end with it,
# and none of its services. It runs systemd/check.sh as a unit, and powers off
# with the status of that.
set -e
mount --make-rprivate /
mount -t tmpfs none /mnt
cp "$DEB" /mnt/svidhelper.deb
cp systemd/check.sh /mnt/check.sh
printf '%s' "$COMMANDS" >/mnt/commands
printf '%s' "$RULE" >/mnt/rule
printf '%s' "$HOOK" >/mnt/hook
for d in etc var usr; do
	mkdir -p /mnt/over/$d/up /mnt/over/$d/work
	mount -t overlay none -o lowerdir=/$d,upperdir=/mnt/over/$d/up,workdir=/mnt/over/$d/work /$d
done
mount -o bind,ro /proc/sys /proc/sys
mount -t sysfs -o ro none /sys
mount -t cgroup2 none /sys/fs/cgroup

mkdir /mnt/dev
mount -t tmpfs none /mnt/dev
mkdir /mnt/dev/shm /mnt/dev/pts
mount -t devpts none /mnt/dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx /mnt/dev/ptmx
ln -s /proc/self/fd /mnt/dev/fd
mknod -m 666 /mnt/dev/null c 1 3
mknod -m 666 /mnt/dev/zero c 1 5
mknod -m 666 /mnt/dev/full c 1 7
mknod -m 666 /mnt/dev/random c 1 8
mknod -m 666 /mnt/dev/urandom c 1 9
mknod -m 666 /mnt/dev/tty c 5 0
mount --rbind /mnt/dev /dev

for d in /run /tmp /etc/systemd/system /etc/init.d; do mount -t tmpfs none $d; done
chmod 1777 /tmp
# As PID 1 makes it on a machine, and not in a container: credentials come by it.
mount --make-rshared /
hostname svidhelper-test
busybox ip link set lo up
rm -f /usr/sbin/policy-rc.d
cat >/etc/systemd/system/check.target <<'U'
[Unit]
Requires=basic.target check.service
U
cat >/etc/systemd/system/check.service <<'U'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash -ex /mnt/check.sh
ExecStopPost=/bin/sh -c 'systemctl --force exit $EXIT_STATUS'
StandardOutput=append:/mnt/out
StandardError=append:/mnt/out
U
touch /mnt/out
tail -f /mnt/out &
# Without the capabilities that act on the kernel, which the machine itself uses too.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=lxc \
	setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog,-mac_admin \
	/lib/systemd/systemd --system --unit=check.target --log-target=journal --show-status=false
