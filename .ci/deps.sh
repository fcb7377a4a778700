#!/bin/sh
# Installs what the tests need, when it can: the C compiler of the race detector,
# and the real servers; or the packages that are named. Otherwise says what will be
# skipped.
set -eu

# A line each: the program that shows the package is there, the package.
wanted() {
	cat <<-'T'
	cc gcc
	/usr/include/stdlib.h libc6-dev
	nginx nginx
	/usr/lib/postgresql/*/bin/initdb postgresql
	psql postgresql-client
	mariadbd-safe mariadb-server
	mariadb-admin mariadb-client
	redis-server redis-server
	redis-cli redis-tools
	/usr/sbin/haproxy haproxy
	/usr/sbin/mosquitto mosquitto
	mosquitto_pub mosquitto-clients
	stunnel4 stunnel4
	socat socat
	openssl openssl
	keytool default-jre-headless
	tini tini
	/usr/lib/dovecot/pop3 dovecot-pop3d
	/usr/lib/dovecot/managesieve dovecot-managesieved
	nats-server nats-server
	/usr/sbin/vsftpd vsftpd
	prosody prosody
	/usr/sbin/slapd slapd
	/usr/sbin/chronyd chrony
	systemd-notify systemd
	dbus-daemon dbus
	pkaction polkitd
	mandoc mandoc
	zsh zsh
	fish fish
	rpm rpm
	runc runc
	busybox busybox-static
	unzip unzip
	curl curl
	supervisord supervisor
	s6-svscan s6
	etcd etcd-server
	promtool prometheus
	chromium-headless-shell chromium-headless-shell
	T
}

missing=""
for package; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done
[ $# -gt 0 ] || while read -r program package; do
	# shellcheck disable=SC2086 # the pattern is meant to expand
	command -v $program >/dev/null 2>&1 || ls $program >/dev/null 2>&1 || missing="$missing $package"
done <<T
$(wanted)
T
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing what the integration tests need:$missing"
	# Servers must not start by themselves: the tests start their own.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		trap 'rm -f $policy' EXIT
	fi
	export DEBIAN_FRONTEND=noninteractive
	# A mirror that fails once, or another installation that is under way, is no
	# reason to give up; nor are stale lists, as long as they have the packages.
	log=$(mktemp)
	patiently="-o Acquire::Retries=5 -o DPkg::Lock::Timeout=300"
	# shellcheck disable=SC2086
	apt-get $patiently update -qq >"$log" 2>&1 || true
	# shellcheck disable=SC2086
	if apt-get $patiently install -y -qq --no-install-recommends $missing >>"$log" 2>&1; then
		rm -f "$log"
		exit 0
	fi
	tail -n 20 "$log"
	rm -f "$log"
fi
echo "not installed, so their tests will be skipped:$missing"
