#!/bin/sh
# Runs the tests of the servers that .ci/services lists, four at a time: installs what
# the four need, then runs them. SERVICES names some of them. With LIMIT no four begin
# after so many seconds, and those that are under way then are ended; that is said, and
# is no failure. GO, TAGS and STRICT as in the Makefile.
set -eu
cd "$(dirname "$0")/.."
began=$(date +%s)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -z "${STRICT:-}" ] || export SVIDHELPER_TEST_STRICT=1
status=0 late=""

CGO_ENABLED=0 "${GO:-go}" test -c -tags "$TAGS,services" -o "$work/examples.test" ./examples

# four runs the tests of $names, of which at most four are at work at a time.
four() {
	# shellcheck disable=SC2086
	sh .ci/deps.sh $packages
	left=$((${LIMIT:-3600} - $(date +%s) + began))
	if [ $left -le 0 ]; then
		late="$late $names"
		return
	fi
	failed=0
	# timeout ends the servers too: they are in its process group, or svidhelper ends them.
	(cd examples && timeout "$left" "$work/examples.test" -test.v -test.run "^TestService($(echo $names | tr ' ' '|'))\$") >"$work/log" 2>&1 || failed=$?
	case $failed in
	0) ;;
	124) late="$late $names" ;;
	*) status=1 ;;
	esac
	if [ $failed = 0 ]; then
		grep -E '^ *--- |rotations, each|new connections|: by hand' "$work/log" || true
	else
		cat "$work/log"
	fi
}

for name in ${SERVICES:-}; do
	grep -q "^$name " .ci/services || {
		echo "no server $name; .ci/services lists them" >&2
		exit 1
	}
done
names="" packages="" n=0
while read -r name needs; do
	case "$name" in '#'* | '') continue ;; esac
	case " ${SERVICES:-$name} " in *" $name "*) ;; *) continue ;; esac
	names="$names $name" packages="$packages $needs" n=$((n + 1))
	if [ $n = 4 ]; then
		four
		names="" packages="" n=0
	fi
done <.ci/services
[ $n = 0 ] || four
[ -z "$late" ] || echo "the time is over; not run to the end:$late"
exit $status
