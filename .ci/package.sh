#!/bin/sh
# Builds Debian packages into DIST: svidhelper, with the unit and the examples,
# and svidhelper-spiffe-helper, a link under spiffe-helper's name. It needs
# dpkg-deb and a built binary. Usage: package.sh BINARY VERSION ARCHITECTURE DIST
set -eu
binary=$1 version=${2#v} arch=$3 dist=$4
# From what git describe says to what dpkg sorts: a candidate comes before its
# version, what has commits on top comes after it, and a bare commit before all.
version=$(echo "$version" | sed -E 's/-dirty$/+dirty/; s/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/; s/-/~/')
case $version in
[0-9]*.*) ;;
*) version=0~$version ;;
esac
case $arch in # from Go's names to Debian's
386) arch=i386 ;;
arm) arch=armhf ;;
ppc64le) arch=ppc64el ;;
mips64le) arch=mips64el ;;
esac
top=$(cd "$(dirname "$0")/.." && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$dist"

# control PACKAGE: writes the control file, with what standard input adds.
control() {
	mkdir -p "$root/$1/DEBIAN"
	{
		cat <<-T
		Package: $1
		Version: $version
		Maintainer: svidhelper maintainers <maintainers@svidhelper.invalid>
		Section: admin
		Priority: optional
		T
		cat
	} >"$root/$1/DEBIAN/control"
}
build() {
	dpkg-deb --root-owner-group --build "$root/$1" "$dist/$1_${version}_$2.deb" >/dev/null
	echo "$dist/$1_${version}_$2.deb"
}

p=$root/svidhelper
install -D -m 0755 "$binary" "$p/usr/bin/svidhelper"
install -D -m 0644 "$top/helper.conf.example" "$p/usr/share/doc/svidhelper/helper.conf.example"
install -D -m 0644 "$top/README.md" "$p/usr/share/doc/svidhelper/README.md"
install -D -m 0644 "$top/LICENSE" "$p/usr/share/doc/svidhelper/copyright"
mkdir -p "$p/usr/share/doc/svidhelper/examples" "$p/etc/svidhelper"
cp -r "$top"/examples/*/ "$p/usr/share/doc/svidhelper/examples/"
install -D -m 0644 "$top/.ci/svidhelper.service" "$p/usr/lib/systemd/system/svidhelper.service"
control svidhelper <<T
Architecture: $arch
Description: SPIFFE identities on disk for software without the Workload API
 Keeps X.509-SVIDs, JWT-SVIDs and bundles fresh on disk, runs a process on top
 of them, and makes every rotation reach it.
T
build svidhelper "$arch"

p=$root/svidhelper-spiffe-helper
mkdir -p "$p/usr/bin"
ln -s svidhelper "$p/usr/bin/spiffe-helper"
control svidhelper-spiffe-helper <<T
Architecture: all
Depends: svidhelper (>= $version)
Provides: spiffe-helper
Conflicts: spiffe-helper
Replaces: spiffe-helper
Description: svidhelper under the name of spiffe-helper
 A link, for scripts and units that call spiffe-helper.
T
build svidhelper-spiffe-helper all
