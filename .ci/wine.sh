#!/bin/sh
# Runs on Wine what of the Windows build needs no process of its own: the tests
# of the packages from the Workload API to the disk, and svidhelper.exe itself
# against a development Workload API. Wine and the compiler for the stand-in DLL
# come from the distribution's packages, when they can.
#
#
# GO, TAGS and STRICT as in the Makefile. Wine is not Windows: what passes here
# runs on Windows' interfaces as Wine understands them, no more.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
TAGS=${TAGS:-}
STRICT=${STRICT:-}
export CGO_ENABLED=0

# skip says what does not run, and fails where nothing may be skipped.
skip() {
	echo "the tests on Wine are skipped: $1"
	[ -z "$STRICT" ] || exit 1
	exit 0
}

wine=wine
mingw=x86_64-w64-mingw32-gcc
have() { command -v $wine >/dev/null 2>&1 && command -v $mingw >/dev/null 2>&1 && command -v openssl >/dev/null 2>&1; }
[ "$(uname -m)" = x86_64 ] || skip "they need an x86-64 machine, this is $(uname -m)"

work=$(mktemp -d "${TMPDIR:-/tmp}/svidhelper-wine.XXXXXX")
export WINEPREFIX="$work/prefix" WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
api=""
cleanup() {
	[ -z "$api" ] || kill "$api" 2>/dev/null || true
	# A wineserver that serves another prefix is somebody else's.
	[ ! -d "$WINEPREFIX" ] || wineserver -k 2>/dev/null || true
	[ ! -d "$WINEPREFIX" ] || timeout 10 wineserver -w 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

if ! have && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing wine and a compiler for Windows"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends wine wine64 gcc-mingw-w64-x86-64 openssl; } >"$work/apt.log" 2>&1 ||
		tail -n 20 "$work/apt.log"
fi
have || skip "not installed: wine, wine64, gcc-mingw-w64-x86-64 or openssl"

timeout 120 $wine wineboot -i >"$work/boot.log" 2>&1 || { cat "$work/boot.log"; skip "wine cannot make a prefix"; }
system="$WINEPREFIX/drive_c/windows/system32"
[ -e "$system/bcryptprimitives.dll" ] ||
	$mingw -O1 -Wall -Wno-cast-function-type -shared -o "$system/bcryptprimitives.dll" .ci/wine-dll.c -ladvapi32

failed=""

# run PACKAGE [FLAG...] runs the tests of a package.
run() {
	package=$1
	shift
	name=$(echo "$package" | tr / -)
	GOOS=windows GOARCH=amd64 $GO test -tags "$TAGS" -c -o "$work/$name.exe" "./$package"
	started=$(date +%s)
	if (cd "$package" && timeout 180 $wine "$work/$name.exe" -test.v -test.timeout 170s "$@") >"$work/$name.log" 2>&1; then
		# Figures in the same form as go test's.
		echo "ok   $package $(($(date +%s) - started))s, $(grep -c '^ *--- PASS' "$work/$name.log") passed, $(grep -c '^ *--- SKIP' "$work/$name.log" || true) skipped"
	else
		echo "FAIL $package"
		grep -v '^ *\(=== \|--- PASS\)' "$work/$name.log" | head -n 60
		failed="$failed $package"
	fi
}

run helper/snapshot
# How long hostile files take is a promise about real machines. The samples and
# the examples are configurations of servers on Unix, with signals and paths that Windows
# does not have.
run helper/config -test.skip '^(TestAnyBytesAreBounded|TestSamples.*|TestFlagsOverTheFile|TestJSONSchema|TestNativeErrors|TestEveryPairOfSettings|TestPresetsAreWhole|TestPresetIsTheExample|FuzzHCL1)$'
run helper/health
run helper/proof
# Unix sockets are not for Windows; each profile over TCP, and all that does not
# depend on how it is connected.
sockets='TestEndsAtOnce|TestExplain$|TestFrozenServer|TestSocket|TestConnectedPromptly|TestUnrelatedFiles|TestEveryProfileArrives/Unix'
long='TestEveryCodeOverTheWire|TestADayInAMinute|TestLargeBundle'
run helper/source -test.skip "$sockets|$long"
# Every call of thousands of publishes, and a thousand files, take minutes here.
run writer -test.skip '^(TestFaults|TestRotationWritesWhatChanged)$'

# check NAME COMMAND... runs one check of the program.
check() {
	name=$1
	shift
	if "$@" >"$work/check.log" 2>&1; then
		echo "ok   svidhelper.exe: $name"
	else
		echo "FAIL svidhelper.exe: $name"
		cat "$work/check.log"
		failed="$failed svidhelper.exe"
	fi
}

$GO build -tags "$TAGS" -o "$work/svidhelper" ./cmd/svidhelper
GOOS=windows GOARCH=amd64 $GO build -tags "$TAGS" -o "$work/svidhelper.exe" ./cmd/svidhelper
exe() { timeout 40 $wine "$work/svidhelper.exe" "$@"; }

fetches() {
	mkfifo "$work/serving"
	"$work/svidhelper" dev -socket tcp://127.0.0.1:0 >"$work/serving" 2>"$work/dev.log" &
	api=$!
	# The first line is the shell command that sets the address.
	IFS= read -r line <"$work/serving" || { cat "$work/dev.log"; return 1; }
	mkdir "$work/tls"
	SPIFFE_ENDPOINT_SOCKET=${line#*=} exe fetch -dir "$($wine winepath -w "$work/tls")" -timeout 20s || return 1
	[ "$(openssl x509 -in "$work/tls/svid.pem" -noout -pubkey)" = "$(openssl pkey -in "$work/tls/svid_key.pem" -pubout)" ] || return 1
	openssl verify -CAfile "$work/tls/svid_bundle.pem" "$work/tls/svid.pem"
}
check "fetch over TCP publishes a pair that openssl accepts" fetches

# The development Workload API still serves.
supervises() {
	status=0
	SPIFFE_ENDPOINT_SOCKET=${line#*=} exe run -dir "$($wine winepath -w "$work/run")" -on-rotation restart -- cmd /c "exit 7" || status=$?
	[ "$status" = 7 ] && [ -s "$work/run/svid.pem" ]
}
check "runs a process on top, whose exit status is its own" supervises

refuses() {
	cat >"$work/helper.conf" <<-'T'
	agent_address = "spire-agent\\public\\api"
	cert_dir = "certs"
	svid_file_name = "svid.pem"
	svid_key_file_name = "key.pem"
	svid_bundle_file_name = "bundle.pem"
	T
	exe config check "$($wine winepath -w "$work/helper.conf")" || return 1
	echo 'renew_signal = "SIGHUP"' >>"$work/helper.conf"
	status=0
	exe config check "$($wine winepath -w "$work/helper.conf")" >"$work/refusal.log" 2>&1 || status=$?
	cat "$work/refusal.log"
	[ "$status" = 1 ] && grep -q 'Windows has no signals' "$work/refusal.log"
}
check "a named pipe's address is accepted, renew_signal refused" refuses

[ -z "$failed" ] || { echo "failed on Wine:$failed"; exit 1; }
