#!/bin/sh
# Shows examples/kubernetes to a real API server. That is built where the cache does
# not have its version: a quarter of an hour of one core's time, and a gigabyte of
# modules and Go's own cache. CACHED=1 builds nothing, and says when there is no server.
set -eu
cd "$(dirname "$0")/kubernetes"
version=$(sed -n 's|.*k8s.io/kubernetes \(v[0-9][^ ]*\).*|\1|p' apiserver/go.mod)
server=${XDG_CACHE_HOME:-$HOME/.cache}/svidhelper/kube-apiserver-$version
export CGO_ENABLED=0

if [ ! -x "$server" ]; then
	if [ -n "${CACHED:-}" ]; then
		echo "not run: the tests of examples/kubernetes, since there is no $server; make test-kubernetes builds it, once"
		exit 0
	fi
	echo "building kube-apiserver $version, once: it is kept as $server"
	mkdir -p "$(dirname "$server")"
	trap 'rm -f "$server.$$"' EXIT
	${GO:-go} -C apiserver build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
		-o "$server.$$" k8s.io/kubernetes/cmd/kube-apiserver
	mv "$server.$$" "$server"
fi
KUBE_APISERVER=$server ${GO:-go} test -count=1 -timeout 10m ./...
