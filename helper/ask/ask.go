package ask

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/helper/printable"
	"github.com/svidhelper/svidhelper/writer"
)

// What bounds a question and its answer.
const (
	maxQuestion = 256      // bytes
	maxAnswer   = 64 << 10 // bytes
	maxReasons  = 20
	maxReason   = 500 // bytes
	patience    = 5 * time.Second
)

// The questions. SetLevel is followed by a space and the level.
const (
	Ready    = "ready"
	SetLevel = "level"
)

// An Answer is what the helper says.
type Answer struct {
	// Ready and Reasons are what a probe of /ready is told.
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"`
	// Level is the level that the helper logs at.
	Level string `json:"level"`
	// Error says what is wrong with the question.
	Error string `json:"error,omitempty"`
}

// line is the answer as it goes through the socket.
func (a Answer) line() []byte {
	if more := len(a.Reasons) - maxReasons; more > 0 {
		a.Reasons = append(a.Reasons[:maxReasons:maxReasons], fmt.Sprintf("and %d more", more))
	}
	reasons := make([]string, len(a.Reasons))
	for i, reason := range a.Reasons {
		reasons[i] = reason
		if len(reason) > maxReason {
			reasons[i] = strings.ToValidUTF8(reason[:maxReason], "") + "..."
		}
	}
	a.Reasons = reasons
	b, err := json.Marshal(a)
	if err != nil { // strings: it cannot
		b, _ = json.Marshal(Answer{Error: err.Error()})
	}
	return append(b, '\n')
}

// Ask asks the helper that publishes a set in a directory.
func Ask(ctx context.Context, dir, set, question string) (Answer, error) {
	name := writer.SocketName(set)
	path := filepath.Join(dir, name)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	address, release, err := short(dir, name)
	if err != nil {
		return Answer{}, explain(path, err)
	}
	defer release()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err != nil {
		return Answer{}, explain(path, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, question+"\n"); err != nil {
		return Answer{}, explain(path, err)
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxAnswer)).ReadBytes('\n')
	if err != nil {
		return Answer{}, explain(path, err)
	}
	var a Answer
	if err := json.Unmarshal(line, &a); err != nil {
		return Answer{}, fmt.Errorf("%s does not answer as svidhelper: %w", path, err)
	}
	if a.Error != "" {
		return Answer{}, fmt.Errorf("svidhelper refuses the question: %s", printable.Line(a.Error, maxReason))
	}
	for i, reason := range a.Reasons {
		a.Reasons[i] = printable.Line(reason, maxAnswer)
	}
	return a, nil
}

// Sets returns the names of the sets in a directory that have a socket.
func Sets(dir string) (sets []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if set, is := strings.CutPrefix(e.Name(), writer.SocketName("")); is && e.Type() == fs.ModeSocket && (set == "" || set[0] == '.') {
			sets = append(sets, strings.TrimPrefix(set, "."))
		}
	}
	if err == nil && len(sets) == 0 {
		err = explain(filepath.Join(dir, writer.SocketName("")), fs.ErrNotExist)
	}
	return sets, err
}

// explain says what an error means, and what to do.
func explain(path string, err error) error {
	const instead = "ask /ready of health instead"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no svidhelper publishes here that can be asked: there is no socket %s. Start it, or name the file or the directory that it was started with. It has none where it cannot make one, which its log says: %s", path, instead)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("svidhelper does not run: nothing listens at %s", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied on %s for uid %d: be the user that svidhelper runs as, or %s", path, os.Getuid(), instead)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("svidhelper does not answer at %s within %v: it hangs, or the machine is busy", path, patience)
	}
	return fmt.Errorf("asking svidhelper at %s: %w", path, err)
}
