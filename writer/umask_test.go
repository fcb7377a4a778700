//go:build unix

package writer

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// sampleModes publishes under a umask while it looks at every file with a key in
// it as fast as it can, and reports one that others could have read.
func sampleModes(job task) error {
	syscall.Umask(job.Umask)
	d, err := Open(job.Output.Spec, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer d.Close()
	private := map[string]fs.FileMode{}
	for _, f := range job.Old {
		if f.private() {
			private[f.Name] = f.Mode
		}
	}
	var (
		wg    sync.WaitGroup
		done  = make(chan struct{})
		seen  atomic.Int64
		wider []string
	)
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			filepath.WalkDir(job.Output.Dir, func(p string, e fs.DirEntry, err error) error {
				if err != nil || !e.Type().IsRegular() {
					return nil // gone while we looked
				}
				info, err := e.Info()
				if err != nil {
					return nil
				}
				name := filepath.Base(p)
				want, ok := private[name]
				if strings.HasPrefix(name, tempName+"-") {
					// On its way to some name: in these sets, nothing is
					// public that is not public under its own name too.
					return nil
				}
				if ok {
					seen.Add(1)
					if have := info.Mode().Perm(); have&^want&^0o200 != 0 { // its owner may write to it
						wider = append(wider, fmt.Sprintf("%s: %04o", p, have))
					}
				}
				return nil
			})
		}
	})
	for i := 0; i < 50 || i%2 == 1 || seen.Load() == 0; i++ {
		files := job.Old
		if i%2 == 1 {
			files = job.New
		}
		if _, err := d.Publish(files, nil); err != nil {
			close(done)
			wg.Wait()
			return err
		}
	}
	close(done)
	wg.Wait()
	if len(wider) > 0 {
		return fmt.Errorf("readable by others: %q", wider)
	}
	fmt.Println(seen.Load())
	return nil
}

// TestUmask publishes under the two extreme umasks, in every mode, with modes
// that are wider, narrower and other than the usual ones.
func TestUmask(t *testing.T) {
	for _, mode := range modes {
		for _, umask := range []int{0, 0o777} {
			for _, key := range []fs.FileMode{0o600, 0o640, 0o400} {
				t.Run(fmt.Sprintf("%s/umask=%04o/key=%04o", mode, umask, key), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, mode)
					o := w.output
					o.Dir = filepath.Join(memoryDir(t), "missing", "tls")
					o.DirMode = 0o750
					o.KeyMode, o.FileMode = key, 0o664
					old, new := wanted(w.old, &o), wanted(w.new, &o)
					cmd := childCommand(t, task{Kind: "sample", Output: o, Old: old.Files, New: new.Files, Umask: umask})
					out, err := cmd.CombinedOutput()
					if err != nil {
						t.Fatalf("%v: %s", err, out)
					}
					t.Logf("a key was seen %s times, never wider than %04o", strings.TrimSpace(string(out)), key)
					if err := holds(t, o.Dir, new); err != nil {
						t.Error(err)
					}
					dirs := []string{".", "two.example"}
					if mode == ModeSymlink {
						dirs = append(dirs, "..data/.", "..data/two.example")
					}
					for _, dir := range dirs {
						want := fs.FileMode(0o750)
						info, err := os.Stat(filepath.Join(o.Dir, dir))
						if err != nil {
							t.Fatal(err)
						}
						if got := info.Mode().Perm(); got != want {
							t.Errorf("directory %s has mode %04o and not %04o", dir, got, want)
						}
					}
					info, err := os.Stat(filepath.Dir(o.Dir))
					if err != nil {
						t.Fatal(err)
					}
					if got := info.Mode().Perm(); got != 0o755 {
						t.Errorf("a directory on the way has mode %04o", got)
					}
				})
			}
		}
	}
}
