#!/bin/sh
# Runs every fuzz target for FUZZTIME, one after the other: `go test -fuzz`
# takes one target of one package at a time.
set -eu
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //' | sort -u | while read -r target; do
		echo "$dir $target"
		${GO:-go} test -tags "$TAGS" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-1m}" "$dir" </dev/null
	done
done
