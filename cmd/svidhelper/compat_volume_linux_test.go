package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// onAVolume runs a deployment as operators publish it, in mounts of its own: the
// root file system is read-only, /opt is a volume that another container sees
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
mount --bind / / && mount -o remount,bind,ro /
cd /
setpriv --reuid=65534 --regid=65534 --clear-groups /mnt/spiffe-helper -config /mnt/true.conf
cat /srv/svid.pem
ls /srv >&2
exec setpriv --reuid=65534 --regid=65534 --clear-groups /mnt/spiffe-helper -config /mnt/false.conf
`

func TestCompatVolume(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	s := newSwapped(t, devapi.Config{})
	s.api.Down()
	faultlessly(t, s.api.Start("tcp://127.0.0.1:0"))
	program, err := exec.LookPath("spiffe-helper")
	faultlessly(t, err)
	s.env = append(s.env, "PROGRAM="+program, "SPIFFE_ENDPOINT_SOCKET="+s.api.Addr())
	s.name = "unshare"
	s.start("--mount", "--propagation", "private", "sh", "-c", onAVolume)
	s.log.await(t, "published", "/opt")
	s.log.await(t, "svid_bundle.pem") // as the other container sees it
	s.log.await(t, "on disk from an earlier run")
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
