package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// onAVolume runs a deployment as operators publish it, in mounts and a root of its
// own: the root file system is read-only, /opt is a volume that another container sees
// at /srv, the user is 65534, and the names are absolute without cert_dir.
const onAVolume = `set -e
mount -t tmpfs tmpfs /mnt
cp "$PROGRAM" /mnt/spiffe-helper
mount -t tmpfs -o mode=0755,uid=65534 tmpfs /opt
mount --bind /opt /srv
for once in true false; do
  daemon=true; if $once; then daemon=false; fi
  cat >/mnt/$once.conf <<EOF
daemon_mode = $daemon
svid_file_name = "/opt/svid.pem"
svid_key_file_name = "/opt/svid.key"
svid_bundle_file_name = "/opt/svid_bundle.pem"
EOF
done
mkdir /mnt/root
mount --rbind / /mnt/root && mount -o remount,bind,ro /mnt/root
enter="chroot --userspec=65534:65534 --groups= /mnt/root"
if $enter touch /forbidden 2>/dev/null; then echo the root file system can be written >&2; exit 9; fi
$enter /mnt/spiffe-helper -config /mnt/true.conf
cat /srv/svid.pem
ls /srv >&2
exec $enter /mnt/spiffe-helper -config /mnt/false.conf
`

// mount starts a script with mounts of its own, in which $PROGRAM is the program and
// $GO a pipe of ours.
func (s *swapped) mount(script string) {
	s.t.Helper()
	if os.Getuid() != 0 {
		s.t.Skip("only root can mount")
	}
	s.api.Down()
	faultlessly(s.t, s.api.Start("tcp://127.0.0.1:0")) // a socket's directory may be closed to others
	program, err := exec.LookPath("spiffe-helper")
	faultlessly(s.t, err)
	faultlessly(s.t, syscall.Mkfifo(s.path("go"), 0o600))
	s.env = append(s.env, "PROGRAM="+program, "GO="+s.path("go"), "SPIFFE_ENDPOINT_SOCKET="+s.api.Addr())
	s.name = "unshare"
	s.start("--mount", "--propagation", "private", "sh", "-ec", script)
}

func TestCompatVolume(t *testing.T) {
	s := newSwapped(t, devapi.Config{})
	s.mount(onAVolume)
	s.log.await(t, "published", "/opt")
	s.log.await(t, "svid_bundle.pem") // as the other container sees it
	s.log.await(t, "on disk already")
	s.api.Rotate()
	s.log.await(t, "published", "/opt")
	_ = s.cmd.Process.Signal(os.Interrupt)
	if got := s.status(); got != 0 {
		t.Errorf("exit status %d", got)
	}
	if got := s.stdout.String(); !strings.HasPrefix(got, "-----BEGIN CERTIFICATE-----") { // whole, now that it has ended
		t.Errorf("the other container reads %q", got)
	}
}

// mounted has the program under both of its names, and a configuration for certs.
const mounted = `
mount -t tmpfs -o mode=0755 tmpfs /mnt
cp "$PROGRAM" /mnt/spiffe-helper
cp "$PROGRAM" /mnt/svidhelper
cd /mnt
mkdir certs
cat >once.conf <<EOF
cert_dir = "/mnt/certs"
svid_file_name = "svid.pem"
svid_key_file_name = "key.pem"
svid_bundle_file_name = "bundle.pem"
EOF
check() { ./svidhelper config check -here once.conf; }
once() { $AS ./spiffe-helper -config once.conf -daemon-mode=false; }
`

var mountFacts = []struct{ name, script, says string }{
	{"a single-file mount: publish = in-place is what the error and config check say, and works", `
echo old >mounted.pem
touch certs/svid.pem
mount --bind mounted.pem certs/svid.pem
if check || once; then exit 9; fi
echo 'publish = "in-place"' >>once.conf
check
once
cat mounted.pem
`, "is a mount point of its own, and cannot be replaced"},
	{"files in a directory that is closed to the helper: publish = in-place is what the error and config check say, and works, and the owner stays", `
AS="setpriv --reuid=65534 --regid=65534 --clear-groups"
touch certs/svid.pem certs/key.pem certs/bundle.pem
chown 65534:65534 certs/*
chmod 0600 certs/key.pem
if $AS ./svidhelper config check -here once.conf || once; then exit 9; fi
echo 'publish = "in-place"' >>once.conf
once
test "$(stat -c %u:%g certs/key.pem)" = 65534:65534
cat certs/svid.pem
`, "no right to write in it: permission denied: grant it, or set publish = \"in-place\""},
}

func TestCompatMounts(t *testing.T) {
	for _, f := range mountFacts {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newSwapped(t, devapi.Config{})
			s.mount(mounted + f.script)
			if got := s.status(); got != 0 {
				t.Errorf("exit status %d", got)
			}
			if n := s.log.count(f.says); n < 2 {
				t.Errorf("%q is said %d times, not by config check and at the start", f.says, n)
			}
			if got := s.stdout.String(); !strings.Contains(got, "-----BEGIN CERTIFICATE-----") {
				t.Errorf("the file is %q", got)
			}
		})
	}
}

func TestCompatReadOnly(t *testing.T) {
	t.Parallel()
	s := newSwapped(t, devapi.Config{})
	s.mount(mounted + `
mount -t tmpfs -o ro tmpfs certs
if once; then exit 9; fi
echo the one-shot has failed >&2
./spiffe-helper -config once.conf &
trap 'kill $!; wait $!' INT TERM
read -r _ <"$GO"
mount -o remount,rw certs
wait $!
`)
	s.log.await(t, "read-only")
	s.log.await(t, "the one-shot has failed")
	s.log.await(t, "read-only") // and it goes on
	faultlessly(t, os.WriteFile(s.path("go"), []byte("\n"), 0))
	s.log.await(t, "published")
	_ = s.cmd.Process.Signal(os.Interrupt)
	s.status()
}
