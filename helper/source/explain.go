package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"google.golang.org/grpc/codes"
)

// Explain says in one line why what is needed has not come from the Workload
// API at address: the cause, and what to check. An empty address is the
// Source's.
func Explain(status Status, address string) string {
	if address == "" {
		address = status.Connection.Address
	}
	why := "has answered everything"
	if awaited := status.Awaited(); !status.Connection.Connected {
		why = explainConnection(status.Connection, address)
	} else if len(awaited) > 0 {
		why = explainProfile(awaited)
	}
	return fmt.Sprintf("Workload API at %s: %s", address, why)
}

// explainConnection says why there is no connection.
func explainConnection(c Connection, address string) string {
	path := strings.TrimPrefix(address, "unix://")
	err := c.LastError
	switch {
	case err == nil && c.Attempts > 0:
		return "connecting takes long: whoever listens there hangs, or does not speak gRPC"
	case err == nil:
		return "not contacted yet"
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
		return fmt.Sprintf("connection refused at %s: nobody listens there, the agent is down or has left its socket behind", path)
	case errors.Is(err, syscall.EINVAL) && len(path) > maxSocketPath:
		return fmt.Sprintf("the path is %d bytes long, a socket's is at most %d: use a shorter one", len(path), maxSocketPath)
	default:
		return printable(err.Error())
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

// explainProfile says why the first of the awaited profiles has not come.
func explainProfile(awaited []ProfileStatus) string {
	p := awaited[0]
	// A failure says more than silence.
	for _, other := range awaited {
		if other.LastError != nil {
			p = other
			break
		}
	}
	// What it last said counts, whatever is being tried at this moment.
	why := ""
	switch {
	case p.LastError == nil:
		why = "it is connected but has not answered: the agent may still be finding out who asks, or hang"
	case p.Reason != "":
		why = fmt.Sprintf("its answer was refused, %s: %v", p.Reason, p.LastError)
	case p.Code == codes.PermissionDenied:
		why = fmt.Sprintf("no identity issued for %s (%v): a registration entry that matches this process may be missing, or has not reached the agent yet", whoami(), p.LastError)
	default:
		why = fmt.Sprint(p.LastError)
	}
	line := p.Name() + ": " + printable(why)
	if n := len(awaited) - 1; n > 0 {
		line += fmt.Sprintf(" (and %d more awaited)", n)
	}
	return line
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

// printable makes text of unknown origin fit for a line of a terminal.
func printable(s string) string {
	const most = 500
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
