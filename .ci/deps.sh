#!/bin/sh
# Installs the real servers that the integration tests run, from the
# distribution's packages, when it can; otherwise says what will be skipped.
set -eu

# A line each: the program that shows the package is there, the package.
wanted() {
	cat <<-'T'
	nginx nginx
	/usr/lib/postgresql/*/bin/initdb postgresql
	psql postgresql-client
	/usr/sbin/mariadbd mariadb-server
	mariadb-admin mariadb-client
	redis-server redis-server
	redis-cli redis-tools
	/usr/sbin/haproxy haproxy
	/usr/sbin/mosquitto mosquitto
	mosquitto_pub mosquitto-clients
	stunnel4 stunnel4
	socat socat
	openssl openssl
	tini tini
	T
}

missing=""
while read -r program package; do
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
	# shellcheck disable=SC2086
	if { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/tmp/svidhelper-deps.log 2>&1; then
		exit 0
	fi
	tail -n 20 /tmp/svidhelper-deps.log
fi
echo "not installed, so their tests will be skipped:$missing"
