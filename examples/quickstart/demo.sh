#!/bin/sh
# Runs the quickstart: a development Workload API whose SVIDs live for 20
# seconds, svidhelper, and under it the service of this folder. Ctrl-C ends all
# of it. Usage: demo.sh path/to/svidhelper
set -eu
svidhelper=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap : INT # the programs below end first, then this script

(cd "$here" && CGO_ENABLED=0 ${GO:-go} build -o "$dir/service" ./service)
cd "$dir"
status=0
"$svidhelper" dev -id spiffe://example.org/quickstart -dns localhost -ttl 20s -- \
	"$svidhelper" run -config "$here/helper.conf" || status=$?
exit "$status"
