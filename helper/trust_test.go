package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// A reader reads one generation after the other, as whoever resolves the link
// once does, and checks each.
type reader struct {
	dir   string
	stop  func()
	bad   error
	looks int
}

func startReader(t *testing.T, dir string) *reader {
	t.Helper()
	r := &reader{dir: dir}
	end := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				r.look()
			}
		}
	})
	r.stop = sync.OnceFunc(func() { close(end); reading.Wait() })
	t.Cleanup(r.stop)
	return r
}

func (r *reader) look() {
	gen, err := os.Readlink(filepath.Join(r.dir, "..data"))
	if err == nil {
		d := disk{dir: filepath.Join(r.dir, gen)}
		_, err = d.check(time.Now())
	}
	r.looks++
	// One that took longer than a generation stays has seen nothing.
	now, _ := os.Readlink(filepath.Join(r.dir, "..data"))
	if r.bad == nil && err != nil && now == gen {
		r.bad = fmt.Errorf("generation %s: %w", gen, err)
	}
}

// TestAuthorityRotatesOnDisk: old and new authority together, then the new one
// alone. The bundle follows, and in every state that a reader can find the leaf
// verifies. An authority that goes before its leaf does is not followed.
func TestAuthorityRotatesOnDisk(t *testing.T) {
	td := devapi.DefaultID.TrustDomain()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, Intermediate: true})
	dir := t.TempDir()
	certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
	r := startDaemon(t, api, fmt.Sprintf("output %q {\n x509_svid {}\n}\n", certs)+childProcess(t, record, ""))
	awaitStarted(t, record)
	reader := startReader(t, certs)
	on := func(step string, authorities int, leaf string) {
		t.Helper()
		eventually(t, func() error {
			bundle, got := certificates(t, certs, "svid_bundle.pem"), fmt.Sprint(leafOnDisk(t, certs, "svid.pem").SerialNumber)
			if len(bundle) != authorities || got != leaf {
				return notYet("%s: %d authorities and leaf %s on disk, want %d and %s", step, len(bundle), got, authorities, leaf)
			}
			return nil
		})
	}
	current := func() string { return fmt.Sprint(api.SVIDs()[0].Certificates[0].SerialNumber) }

	first := current()
	on("at first", 1, first)
	if err := api.AddAuthority(td); err != nil {
		t.Fatal(err)
	}
	on("both authorities", 2, first)
	api.Rotate()
	on("a leaf of the new one", 2, current())
	if err := api.RetireAuthorities(td); err != nil {
		t.Fatal(err)
	}
	on("the new one alone", 1, current())

	// The next one comes without a time of both: the old leaf does not verify
	// any more, so it stays beside the bundle that it verifies against.
	last := current()
	if err := api.AddAuthority(td); err != nil {
		t.Fatal(err)
	}
	on("both again", 2, last)
	if err := api.RetireAuthorities(td); err != nil {
		t.Fatal(err)
	}
	r.log.Await(t, 1, "not receiving", "reason=chain")
	on("refused", 2, last)
	api.Rotate()
	on("recovered", 1, current())

	reader.stop()
	t.Logf("%d generations looked at", reader.looks)
	if reader.bad != nil {
		t.Error(reader.bad)
	}
}

// TestFederatedBundleDisappears: with the next publish it is gone from the disk,
// whether it has a file of its own or is one of many in the bundle; what stays is
// not touched.
func TestFederatedBundleDisappears(t *testing.T) {
	near, far := spiffeid.RequireTrustDomainFromString("near.test"), spiffeid.RequireTrustDomainFromString("far.test")
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, Federated: []spiffeid.TrustDomain{near, far}})
	dir := t.TempDir()
	separate, merged, record := filepath.Join(dir, "separate"), filepath.Join(dir, "merged"), filepath.Join(dir, "record")
	startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid { federated_bundles = "separate" }
}
output %q {
  x509_svid { federated_bundles = "merge" }
}
`, separate, merged)+childProcess(t, record, ""))
	awaitStarted(t, record)
	on := func(step string, tds ...spiffeid.TrustDomain) {
		t.Helper()
		var want []string
		for _, td := range tds {
			want = append(want, td.Name()+".pem")
		}
		eventually(t, func() error {
			files, err := filepath.Glob(filepath.Join(separate, "*.test.pem"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range files {
				files[i] = filepath.Base(files[i])
			}
			if !slices.Equal(files, want) {
				return notYet("%s: %q on disk, want %q", step, files, want)
			}
			var ids []string
			for _, c := range certificates(t, merged, "svid_bundle.pem") {
				ids = append(ids, c.URIs[0].Host)
			}
			if n := len(ids); n != 1+len(tds) || ids[0] != "example.org" {
				return notYet("%s: authorities of %q on disk", step, ids)
			}
			return nil
		})
	}
	on("both", far, near)
	before := read(separate, "near.test.pem")
	leaf := read(separate, "svid.pem")
	if err := api.SetFederated(near); err != nil {
		t.Fatal(err)
	}
	on("one is gone", near)
	if read(separate, "near.test.pem") != before || read(separate, "svid.pem") != leaf {
		t.Error("what did not change was changed")
	}
	if err := api.SetFederated(); err != nil {
		t.Fatal(err)
	}
	on("both are gone")
	if err := api.SetFederated(far); err != nil {
		t.Fatal(err)
	}
	on("one is back", far)
	awaitOneGeneration(t, separate) // nothing of it is left in an old generation
	for name := range snapshotDir(t, separate) {
		if strings.Contains(name, "near.test") {
			t.Errorf("%s is still there", name)
		}
	}
	eventually(t, func() error {
		if !strings.Contains(read(record), "hangup") {
			return notYet("the process was not told of the bundles")
		}
		return nil
	})
}
