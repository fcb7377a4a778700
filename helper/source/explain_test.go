package source

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// The last line of a failed one-shot names the address, the cause and what to
// check.
func TestExplain(t *testing.T) {
	uid := fmt.Sprintf("uid %d", os.Getuid())
	denied := func(t *testing.T) string {
		api, faults := devapitest.Start(t, devapi.Config{})
		faults.Deny()
		return api.Addr()
	}
	for name, tt := range map[string]struct {
		address func(t *testing.T) string
		until   func(*Status) bool
		want    []string
	}{
		"no socket": {
			func(t *testing.T) string { return "unix://" + devapitest.Socket(t) },
			func(s *Status) bool { return s.Connection.LastError != nil },
			[]string{"no socket at /", "start the agent"},
		},
		"no directory": {
			func(t *testing.T) string { return "unix://" + t.TempDir() + "/a/b/api.sock" },
			func(s *Status) bool { return s.Connection.LastError != nil },
			[]string{"no socket at /", "not even /", "/a exists", "mount"},
		},
		"socket left behind": {
			func(t *testing.T) string { p := devapitest.Socket(t); leaveSocket(t, p); return "unix://" + p },
			func(s *Status) bool { return s.Connection.LastError != nil },
			[]string{"connection refused", "the agent is down"},
		},
		"a directory": {
			func(t *testing.T) string { return "unix://" + t.TempDir() },
			func(s *Status) bool { return s.Connection.LastError != nil },
			[]string{"is a directory, not a socket", "mounts a socket that does not exist yet"},
		},
		"a file": {
			func(t *testing.T) string { return "unix://" + must(os.Executable()) },
			func(s *Status) bool { return s.Connection.LastError != nil },
			[]string{"is a file, not a socket"},
		},
		"a file on the way": {
			func(t *testing.T) string { return "unix://" + must(os.Executable()) + "/api.sock" },
			func(s *Status) bool { return s.Connection.LastError != nil },
			[]string{"no socket at /", "is a file"},
		},
		"path too long": {
			func(t *testing.T) string { return "unix:///" + strings.Repeat("x", 200) },
			func(s *Status) bool { return s.Connection.LastError != nil },
			[]string{"201 bytes long", "at most 107"},
		},
		"nobody speaks": {
			func(t *testing.T) string { p := devapitest.Socket(t); silentServer(t, p); return "unix://" + p },
			func(s *Status) bool { return s.Connection.Attempts > 0 },
			[]string{"does not speak gRPC"},
		},
		"no identity": {
			denied,
			func(s *Status) bool { return s.Profiles[0].State == StateDenied },
			[]string{"x509_svid: no identity issued for " + uid, "registration entry", "PermissionDenied"},
		},
		"no answer": {
			func(t *testing.T) string {
				api, faults := devapitest.Start(t, devapi.Config{})
				faults.Hang()
				return api.Addr()
			},
			func(s *Status) bool { return s.Profiles[0].State == StateWaiting },
			[]string{"x509_svid: it is connected but has not answered"},
		},
		"bad answer": {
			func(t *testing.T) string {
				api, faults := devapitest.Start(t, devapi.Config{})
				devapi.Mutate(faults, must(api.BadX509SVIDs())[0].Edit)
				return api.Addr()
			},
			func(s *Status) bool { return s.Profiles[0].State == StateRejected },
			[]string{"the answer was refused, no_svids"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := tt.address(t)
			s := newTestSource(t, Config{Address: address, Needs: Needs{X509: true}})
			stop := run(t, s)
			for deadline := time.Now().Add(patience); !tt.until(s.Status()); pass(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("in vain: %+v", s.Status())
				}
			}
			check(t, stop())
			line := s.Status().Problem()
			t.Log(line)
			for _, want := range append(tt.want, address) {
				if !strings.Contains(line, want) {
					t.Errorf("lacks %q: %s", want, line)
				}
			}
			if strings.Contains(line, "\n") {
				t.Error("more than one line")
			}
		})
	}
}

func TestExplainPermission(t *testing.T) {
	line := explainConnection(fmt.Errorf("dial: %w", fs.ErrPermission), "unix:///run/x.sock")
	for _, want := range []string{"permission denied on /run/x.sock", whoami(), "directories above"} {
		if !strings.Contains(line, want) {
			t.Errorf("lacks %q: %s", want, line)
		}
	}
}

func TestWhatAServerSaysIsMadePrintable(t *testing.T) {
	got := sentence("a\nb\x1b[31mc\xff" + strings.Repeat("é", 1000))
	if strings.ContainsFunc(got, unicode.IsControl) || !utf8.ValidString(got) || len(got) > 510 {
		t.Errorf("%q", got)
	}
}
