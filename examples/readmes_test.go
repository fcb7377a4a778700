//go:build linux

package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// readmes are the folders whose README begins with commands to copy, and the
// programs that they take beside those of every Debian.
var readmes = map[string][]string{
	"federation":  {"nginx", "openssl", "curl"},
	"haproxy":     {"haproxy", "openssl"},
	"mariadb":     {"/usr/sbin/mariadbd", "mariadb", "openssl"},
	"mosquitto":   {"mosquitto", "mosquitto_pub"},
	"nginx":       {"nginx", "curl"},
	"postgresql":  {"/usr/lib/postgresql/*/bin/postgres", "psql"},
	"redis":       {"redis-server", "redis-cli"},
	"s6":          {"s6-svscan", "nginx", "curl"},
	"stunnel":     {"stunnel4", "openssl"},
	"supervisord": {"supervisord", "nginx", "curl"},
}

// firstBlock is a block of commands, behind the title and one paragraph, which has the
// command of a Workload API to try it with.
var firstBlock = regexp.MustCompile("(?s)^# [^\n]+\n\n[^`]+`(svidhelper dev [^`]+) &`([^\n]+\n)+\n```sh\n(.*?)```\n")

// inside prepares a machine of its own for the commands, in namespaces: the
// distribution's files, which can be changed and nobody sees it; a /run and a /tmp
// that are empty; a network that is the loopback alone; the Workload API that the
// README has for those who have none. Then it runs the commands as they are copied, in
// the folder, and ends whatever they have left.
const inside = `
set -e
cd /
mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir /mnt/work /mnt/bin
cp -r "$FOLDER/.." /mnt/work/examples
cp "$PROGRAM" /mnt/bin/svidhelper
for d in etc var; do
	mkdir -p /mnt/over/$d/up /mnt/over/$d/work
	mount -t overlay none -o lowerdir=/$d,upperdir=/mnt/over/$d/up,workdir=/mnt/over/$d/work /$d
done
mount -t tmpfs none /run
mount -t tmpfs none /tmp
chmod 1777 /tmp
ln -sfn /run /var/run
busybox ip link set lo up
export PATH=/mnt/bin:$PATH
$API 2>/tmp/dev.log &
until [ -S /tmp/spire-agent/public/api.sock ]; do sleep 0.05; done
cd /mnt/work/examples/$(basename "$FOLDER")
printf '%s' "$COMMANDS" >/tmp/commands
bash -ex /tmp/commands
`

// TestReadmes runs the commands that the README of a folder begins with, exactly as
// they stand there, with the distribution's paths.
func TestReadmes(t *testing.T) {
	t.Parallel()
	for folder, programs := range readmes {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			runReadme(t, folder, programs...)
		})
	}
}

// runReadme runs the first block of a folder's README.
func runReadme(t *testing.T, folder string, programs ...string) {
	t.Helper()
	for _, p := range append(programs, "unshare", "busybox") {
		need(t, p)
	}
	needRoot(t, "the commands are root's")
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := firstBlock.FindSubmatch(text)
	if block == nil {
		t.Fatal("the README does not begin with a Workload API and commands to copy")
	}
	here, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--net", "--mount-proc", "--kill-child", "bash", "-c", inside)
	cmd.Env = append(os.Environ(), "FOLDER="+here, "PROGRAM="+svidhelper, "API="+string(block[1]), "COMMANDS="+string(block[3]))
	p := start(t, cmd)
	select {
	case <-p.done:
	case <-time.After(4 * patience): // some servers take long to start
		t.Fatal("the commands do not end")
	}
	if err := cmd.ProcessState; !err.Success() {
		t.Fatalf("the commands end with %v", err)
	}
	if said := p.out.String(); !strings.Contains(said, "spiffe://example.org/workload") {
		t.Errorf("they do not show the SPIFFE ID:\n%s", said)
	}
}
