package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// TestOneLineARotation: what a person wants to know of a rotation stands in one
// line, and the serial numbers are found with what openssl prints.
func TestOneLineARotation(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}\nhook \"web\" {\n command = [\"true\"]\n}", filepath.Join(dir, "certs"))+
		childProcess(t, filepath.Join(dir, "record"), ""))
	r.log.Await(t, 1, "process started")
	serial := func() string { return snapshot.Serial(api.SVIDs()[0].Certificates[0].SerialNumber) }
	was := serial()
	api.Rotate()
	leaf := api.SVIDs()[0].Certificates[0]
	r.log.Await(t, 1, "msg=published", "spiffe_id=spiffe://example.org/workload", "serial="+serial(), "replaces="+was,
		"expires="+leaf.NotAfter.UTC().Format("2006-01-02T15:04:05"), `files="[svid.pem svid_key.pem`, `targets="[process web]"`, "ms=")
}

// TestTargetsAreThoseThatAreTold: a process with on_rotation = "none" is started on
// the first files, and told of no rotation.
func TestTargetsAreThoseThatAreTold(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}\nhook \"web\" {\n command = [\"true\"]\n}", filepath.Join(dir, "certs"))+
		childProcess(t, filepath.Join(dir, "record"), "on_rotation = \"none\""))
	r.log.Await(t, 1, "msg=published", `targets="[process web]"`)
	api.Rotate()
	r.log.Await(t, 1, "msg=published", "replaces=", "targets=[web]")
}

// TestOutageUntilTheSVIDExpires: a person hears of it while there is time, when it
// is too late, and why.
func TestOutageUntilTheSVIDExpires(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, TTL: 8 * time.Second})
	certs := filepath.Join(t.TempDir(), "certs")
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}", certs))
	r.log.Await(t, 1, "msg=published")
	api.Down()
	r.log.Await(t, 1, "level=WARN", "is not renewed in time", "spiffe_id=spiffe://example.org/workload", "left=", "no socket at")
	r.log.Await(t, 1, "level=ERROR", "has expired", "spiffe_id=spiffe://example.org/workload", "no socket at")
}

// TestStartWithUnchangedFiles says which identity is on disk, and until when.
func TestStartWithUnchangedFiles(t *testing.T) {
	for what, more := range map[string]string{
		"from disk":            "",
		"after the first push": "process {\n command = [\"sleep\", \"600\"]\n on_rotation = \"none\"\n start_from_disk = false\n}",
	} {
		t.Run(what, func(t *testing.T) {
			api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
			text := fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(t.TempDir(), "certs")) + more
			first := startDaemon(t, api, text)
			first.log.Await(t, 1, "msg=published")
			first.stop()
			_ = first.end()
			second := startDaemon(t, api, text)
			leaf := api.SVIDs()[0].Certificates[0]
			second.log.Await(t, 1, "on disk already", "spiffe_id=spiffe://example.org/workload",
				"serial="+snapshot.Serial(leaf.SerialNumber), "expires="+leaf.NotAfter.UTC().Format("2006-01-02T15:04:05"))
		})
	}
}

// TestRestartBecauseOfAnEdit says so, and so does the end of the process that ends
// the helper.
func TestRestartBecauseOfAnEdit(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	output := fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(dir, "certs"))
	process := func(command string) string {
		return fmt.Sprintf("process {\n command = [\"sh\", \"-c\", %q]\n on_rotation = \"none\"\n}\n", command)
	}
	gate := filepath.Join(dir, "gate")
	r := startDaemon(t, api, output+process("exec sleep 600"))
	r.log.Await(t, 1, "process started", `command="sh -c \"exec sleep 600\""`)
	r.write(output + process("until [ -e "+gate+" ]; do sleep 0.05; done; exit 3"))
	r.log.Await(t, 1, "the process is restarted, because the configuration file has changed")
	r.log.Await(t, 2, "process started")
	if strings.Contains(r.log.String(), "svidhelper ends") {
		t.Error("the exchange of a process is no end")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.log.Await(t, 1, "svidhelper ends, because the process has ended", "status=3")
	_ = r.end()
}

// TestWrongProofAddress: nothing listens where the certificate should be seen. The
// log says so, the process goes on whatever on_failure says, and what it is told
// again is no rotation.
func TestWrongProofAddress(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	record, nobody, health := filepath.Join(dir, "record"), freeAddress(t), freeAddress(t)
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}\nhealth {\n address = %q\n}\n", filepath.Join(dir, "certs"), health)+
		childProcess(t, record, fmt.Sprintf("proof {\n tls = %q\n timeout = \"300ms\"\n on_failure = [\"signal\", \"restart\"]\n}", nobody)))
	for failures := 1; failures <= 2; failures++ {
		r.log.Await(t, failures, "rotation not proven", "nothing listens there", "correct the address of proof")
		r.log.Await(t, failures, "escalation failed", "the process is not restarted for a certificate that "+nobody+" has never served")
		if failures == 1 {
			awaitStarted(t, record)
			api.Rotate()
		}
	}
	if n := strings.Count(read(record), "started"); n != 1 {
		t.Errorf("the process was started %d times", n)
	}
	rotations := regexp.MustCompile(`(?m)^svidhelper_process_rotations(_delivered)?_total 2$`)
	eventually(t, func() error {
		_, page, err := get("http://" + health + "/metrics")
		if err != nil {
			return err
		}
		if n := len(rotations.FindAllString(page, -1)); n != 2 {
			return notYet("2 rotations are counted otherwise:\n%s", page)
		}
		return nil
	})
}

// TestHookThatFailsIsTheCause: what a service goes on serving is no riddle when it
// could not be told.
func TestHookThatFailsIsTheCause(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	r := startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
}
hook "web" {
  command = ["sh", "-c", "echo no such unit; exit 3"]
  proof {
    tls     = %q
    timeout = "300ms"
  }
}`, filepath.Join(t.TempDir(), "certs"), freeAddress(t)))
	for rotation := 1; rotation <= 2; rotation++ {
		r.log.Await(t, rotation, "hook failed", "no such unit")
		r.log.Await(t, rotation, "rotation not proven", "could not be told", "no such unit")
		api.Rotate()
	}
}
