#!/bin/sh
# Runs all Go tests, under the race detector. Prints a line for each package,
# everything that a failing package said, and what was skipped and why.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

race=-race
export CGO_ENABLED=1 # the race detector needs it; the product does not
if ! command -v cc >/dev/null 2>&1 && ! command -v "${CC:-gcc}" >/dev/null 2>&1; then
	echo "no C compiler: the race detector is skipped"
	[ -z "${STRICT:-}" ] || exit 1
	race="" CGO_ENABLED=0
fi
[ -z "${STRICT:-}" ] || export SVIDHELPER_TEST_STRICT=1

{
	status=0
	${GO:-go} test $race -v -tags "$TAGS" -timeout 10m ./... 2>&1 || status=$?
	# What others read of us, with their libraries, in a module of its own.
	CGO_ENABLED=0 ${GO:-go} -C .ci/consumers test -v -timeout 10m . 2>&1 || status=$?
	# What a release consists of.
	CGO_ENABLED=0 ${GO:-go} -C .ci/release test -v -timeout 10m . 2>&1 || status=$?
	echo $status >"$dir/status"
} |
	awk -v skipped="$dir/skipped" '
		{ said = said $0 "\n" }
		/^ *--- SKIP/ { skip = 1; print $0 >skipped; next }
		skip { if ($0 ~ /^ +[^ ]+\.go:[0-9]+:/) print $0 >skipped; skip = 0 }
		/^(ok|\?) / { print; said = "" }
		/^FAIL/ { printf "%s", said; said = "" }
		/^# / { print }
		END { printf "%s", said }'
if [ -s "$dir/skipped" ]; then
	echo "skipped:"
	cat "$dir/skipped"
	if [ -n "${STRICT:-}" ]; then
		echo "STRICT is set: a skipped test is a failed one"
		exit 1
	fi
fi
exit "$(cat "$dir/status")"
