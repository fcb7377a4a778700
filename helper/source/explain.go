package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/grpc/codes"

	"github.com/svidhelper/svidhelper/helper/printable"
)

// Problem says in one line what is wrong: the cause, and what to check. It is
// empty while everything that is needed has come, and is as it should be.
func (s *Status) Problem() string {
	why := ""
	switch failing := s.failing(); {
	case !s.Connection.Connected && s.Connection.Problem != "":
		why = s.Connection.Problem
	case !s.Connection.Connected && s.Connection.Attempts > 0:
		why = "connecting takes long: what listens there hangs, or does not speak gRPC"
	case !s.Connection.Connected:
		why = "not contacted yet"
	case len(failing) > 0:
		why = failing[0].Name() + ": " + explainFailure(failing[0])
		if n := len(failing) - 1; n > 0 {
			why += fmt.Sprintf(" (and %d more)", n)
		}
	default:
		return ""
	}
	return sentence(fmt.Sprintf("Workload API at %s: %s", s.Connection.Address, why))
}

// Problem says in one line what is wrong with the profile, and what to check. It is
// empty while nothing is.
func (p *ProfileStatus) Problem() string {
	if p.LastError == nil && !p.LastSuccess.IsZero() {
		return ""
	}
	return sentence(explainFailure(p))
}

// failing returns the profiles that have not come or have a problem: first those
// that were never answered, of those first the ones with an error, which says
// more than silence.
func (s *Status) failing() []*ProfileStatus {
	rank := func(p *ProfileStatus) int {
		switch {
		case p.LastSuccess.IsZero() && p.LastError != nil:
			return 0
		case p.LastSuccess.IsZero():
			return 1
		default:
			return 2
		}
	}
	var failing []*ProfileStatus
	for _, p := range s.Profiles {
		if p.LastSuccess.IsZero() || p.LastError != nil && p.State != StateStreaming {
			failing = append(failing, p)
		}
	}
	slices.SortStableFunc(failing, func(a, b *ProfileStatus) int { return rank(a) - rank(b) })
	return failing
}

// explainConnection says why there is no connection.
func explainConnection(err error, address string) string {
	path := strings.TrimPrefix(address, "unix://")
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(address, "npipe:"):
		return "no such named pipe: start the agent that provides it, or correct the name"
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("no socket at %s%s: start the agent that provides it, mount its directory here, or correct the address", path, missingPart(path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("permission denied on %s for %s%s: check the rights of the socket and of the directories above it", path, whoami(), closedPart(path))
	case errors.Is(err, errRefused) && kindOfFile(path) != "":
		return fmt.Sprintf("%s is a %s, not a socket: correct the address; where a container mounts a socket that does not exist yet, there is a directory in its place", path, kindOfFile(path))
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Sprintf("no socket at %s: a part of the path is a file, correct the address", path)
	case errors.Is(err, errRefused):
		return fmt.Sprintf("connection refused at %s: nothing listens there, the agent is down or has left its socket behind", path)
	case errors.Is(err, syscall.EINVAL) && len(path) > maxSocketPath:
		return fmt.Sprintf("the path is %d bytes long, a socket's is at most %d: use a shorter one", len(path), maxSocketPath)
	default:
		return sentence(err.Error())
	}
}

// missingPart says how much of the path is missing, if it is more than the
// socket.
func missingPart(path string) string {
	missing := ""
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = dir
	}
	if missing == "" {
		return ""
	}
	return fmt.Sprintf(", not even %s exists", missing)
}

// closedPart says which part of the path is closed to us, as far as its mode
// shows it.
func closedPart(path string) string {
	names := strings.Split(path, "/")
	for i := 2; i <= len(names); i++ {
		part := strings.Join(names[:i], "/")
		if _, err := os.Lstat(part); !errors.Is(err, fs.ErrPermission) {
			continue
		}
		if dir, err := os.Stat(filepath.Dir(part)); err == nil {
			return fmt.Sprintf(", the mode of %s is %v", filepath.Dir(part), dir.Mode())
		}
		return ""
	}
	if socket, err := os.Stat(path); err == nil {
		return fmt.Sprintf(", its mode is %v", socket.Mode())
	}
	return ""
}

// kindOfFile names what is at path, unless it is a socket or cannot be seen.
func kindOfFile(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil || info.Mode()&fs.ModeSocket != 0:
		return ""
	case info.IsDir():
		return "directory"
	default:
		return "file"
	}
}

// maxSocketPath is the longest path of a socket on Linux; elsewhere it is a few
// bytes shorter.
const maxSocketPath = 107

// explainFailure says why a profile has not come, or what is wrong with it. What
// it last said counts, whatever is being tried at this moment.
func explainFailure(p *ProfileStatus) string {
	switch {
	case p.LastError == nil:
		return "it is connected but has not answered: the agent may still be finding out what process asks, or hang"
	case p.Reason == ReasonAbsent:
		return fmt.Sprintf("%v: its registration entry may have been removed, or has not reached the agent yet", p.LastError)
	case p.Reason != "":
		return fmt.Sprintf("the answer was refused, %s: %v", p.Reason, p.LastError)
	case p.Code == codes.PermissionDenied:
		return fmt.Sprintf("no identity issued for %s (%v): a registration entry that matches this process may be missing, or has not reached the agent yet", whoami(), p.LastError)
	default:
		return fmt.Sprint(p.LastError)
	}
}

// whoami names the caller as an agent sees it.
func whoami() string {
	uid := os.Getuid()
	if uid < 0 { // Windows
		if u, err := user.Current(); err == nil {
			return "user " + u.Username
		}
		return "this user"
	}
	return "uid " + strconv.Itoa(uid)
}

// sentence makes text of unknown origin, which may have several lines, fit for a line.
func sentence(s string) string {
	const most = 500 // bytes
	return printable.Line(strings.Join(strings.Fields(s), " "), most)
}
