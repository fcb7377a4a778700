package supervisor

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
)

const (
	// maxHookLine is where a line of output is cut, in bytes.
	maxHookLine = 1024
	// maxHookLines is how many lines of one run are logged; the others are
	// read, so that the command does not block on us, and counted.
	maxHookLines = 100
	// maxHookHint bounds, in bytes, the last line that goes into an error.
	maxHookHint = 200
)

// A hookOutput logs what a command writes, line by line and bounded. Its zero
// value with a log is ready.
type hookOutput struct {
	log     *slog.Logger
	partial []byte // the line that has not ended yet, at most maxHookLine
	cut     bool   // partial was longer
	lines   int
	left    int // lines beyond maxHookLines
	bytes   int64
	last    string
}

// Write never fails: a command must not suffer for what becomes of its output.
func (o *hookOutput) Write(p []byte) (int, error) {
	o.bytes += int64(len(p))
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxHookLine - len(o.partial); len(part) > room {
			part, o.cut = part[:room], true
		}
		o.partial = append(o.partial, part...)
		if ended {
			o.end()
		}
		rest = after
	}
	return len(p), nil
}

// end logs the line that has been gathered.
func (o *hookOutput) end() {
	text := strings.ToValidUTF8(strings.TrimRight(string(o.partial), "\r"), "\uFFFD")
	if o.cut {
		text += " [cut]"
	}
	o.partial, o.cut = o.partial[:0], false
	o.lines++
	if strings.TrimSpace(text) != "" {
		o.last = text
	}
	if o.lines > maxHookLines {
		o.left++
		return
	}
	o.log.Info("hook output", "line", text)
}

// flush logs a last line without a newline, and what was left out.
func (o *hookOutput) flush() {
	if len(o.partial) > 0 {
		o.end()
	}
	if o.left > 0 {
		o.log.Warn("hook output left out", "lines", o.left, "bytes", o.bytes)
	}
}

// hint returns the last line of output for an error: that is where commands say
// what went wrong.
func (o *hookOutput) hint() string {
	if o.last == "" {
		return ""
	}
	last := o.last
	if len(last) > maxHookHint {
		last = strings.ToValidUTF8(last[:maxHookHint], "")
	}
	return fmt.Sprintf(", saying %q", last)
}
