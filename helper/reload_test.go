package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestReload: a configuration that is valid and different takes effect, and
// disturbs nothing that it does not change.
func TestReload(t *testing.T) {
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	record := filepath.Join(dir, "record")
	process := childProcess(t, record, "")
	output := func(name, more string) string {
		return fmt.Sprintf("output %q {\n x509_svid {}\n %s\n}\n", filepath.Join(dir, name), more)
	}
	r := startDaemon(t, api, output("a", "")+process)
	r.log.Await(t, 1, "process started")

	// not valid: the running one stays
	r.write("output {")
	r.log.Await(t, 1, "is not valid, the running one stays")

	// another output, with a token: one more file, the same stream, the same process
	r.write(output("a", "") + output("b", "jwt_svid {\n audience = [\"x\"]\n file = \"x.jwt\"\n}") + process)
	r.log.Await(t, 1, "in effect")
	r.log.Await(t, 1, "published", "x509", "/b")
	eventually(t, func() error {
		if strings.Count(read(dir, "b", "x.jwt"), ".") != 2 {
			return notYet("no token: %s", read(dir, "b", "x.jwt"))
		}
		return nil
	})
	if n := len(faults.Attempts(devapi.FetchX509SVID)); n != 1 {
		t.Errorf("the X.509-SVID stream was opened %d times", n)
	}
	rotated := func(name string) {
		t.Helper()
		want := api.SVIDs()[0].Certificates[0].SerialNumber
		eventually(t, func() error {
			if got := leafOnDisk(t, dir, name, "svid.pem").SerialNumber; got.Cmp(want) != 0 {
				return notYet("%x is on disk in %s, not %x", got, name, want)
			}
			return nil
		})
	}
	api.Rotate()
	rotated("a")
	rotated("b")
	r.log.Await(t, 1, "process told of the rotation")

	// the first output goes; what it wrote stays, and is not kept fresh
	before := read(dir, "a", "svid.pem")
	r.write(output("b", "") + process)
	r.log.Await(t, 2, "in effect")
	told := strings.Count(r.log.String(), "process told of the rotation")
	api.Rotate()
	rotated("b")
	r.log.Await(t, told+1, "process told of the rotation")
	if read(dir, "a", "svid.pem") != before {
		t.Error("the removed output was written to")
	}
	eventually(t, func() error {
		if _, err := os.Lstat(filepath.Join(dir, "b", "x.jwt")); !os.IsNotExist(err) {
			return notYet("the removed token is still there: %v", err)
		}
		return nil
	})

	// the process's block changes: restarted
	if n := strings.Count(read(record), "started"); n != 1 {
		t.Errorf("the process was started %d times by now", n)
	}
	r.write(output("b", "") + childProcess(t, record, `on_rotation = "SIGUSR1"`))
	r.log.Await(t, 2, "process started")
	api.Rotate()
	eventually(t, func() error {
		if got := read(record); !strings.Contains(got, "user defined signal 1") {
			return notYet("the record is %q", got)
		}
		return nil
	})
	if got := read(record); strings.Count(got, "terminated") != 1 {
		t.Errorf("the first process was not stopped once: %q", got)
	}

	// an output that cannot be: the running configuration stays
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.write(output("file", "") + process)
	r.log.Await(t, 1, "cannot be used, the running one stays")
	api.Rotate()
	r.log.Await(t, 2, "process told of the rotation", "SIGUSR1")
}

// TestReloadFromConfigMap: Kubernetes swaps a link in the middle of the path.
func TestReloadFromConfigMap(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	config := func(name string) string {
		return fmt.Sprintf("output %q {\n x509_svid {}\n}\n", filepath.Join(dir, name))
	}
	volume := t.TempDir()
	swap := func(generation, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(volume, generation), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(volume, generation, "helper.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(generation, filepath.Join(volume, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(volume, "..data_tmp"), filepath.Join(volume, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..1", config("a"))
	file := filepath.Join(volume, "helper.conf")
	if err := os.Symlink("..data/helper.conf", file); err != nil {
		t.Fatal(err)
	}
	r := startDaemonAt(t, api, file)
	r.log.Await(t, 1, "published", "/a")
	swap("..2", config("b"))
	r.log.Await(t, 1, "published", "/b")
	swap("..3", config("c"))
	r.log.Await(t, 1, "published", "/c")
}

// TestReloadWhatChangedAtTheStart: a file that was changed after it was read,
// and before it was watched, used to go unnoticed.
func TestReloadWhatChangedAtTheStart(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := t.TempDir()
	text := func(name string) []byte {
		return fmt.Appendf(nil, "output %q {\n x509_svid {}\n}\n", filepath.Join(dir, name))
	}
	file := filepath.Join(t.TempDir(), "helper.conf")
	if err := os.WriteFile(file, text("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newDaemonRun(t, api, file)
	c, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	r.write(string(text("b")))
	r.start(c)
	r.log.Await(t, 1, "published", "/b")
}
