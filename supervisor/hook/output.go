package hook

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
)

const (
	// maxLine is where a line of output is cut, in bytes.
	maxLine = 1024
	// maxLines is how many lines of one run are logged; the others are
	// read, so that the command does not block on us, and counted.
	maxLines = 100
	// maxHint bounds, in bytes, the last line that goes into an error.
	maxHint = 200
)

// A output logs what a command writes, line by line and bounded. Its zero
// value with a log is ready.
type output struct {
	log     *slog.Logger
	partial []byte // the line that has not ended yet, at most maxLine
	cut     bool   // partial was longer
	lines   int
	left    int // lines beyond maxLines
	bytes   int64
	last    string
}

// Write never fails: a command must not suffer for what becomes of its output.
func (o *output) Write(p []byte) (int, error) {
	o.bytes += int64(len(p))
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := maxLine - len(o.partial); len(part) > room {
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
func (o *output) end() {
	text := strings.ToValidUTF8(strings.TrimRight(string(o.partial), "\r"), "\uFFFD")
	if o.cut {
		text += " [cut]"
	}
	o.partial, o.cut = o.partial[:0], false
	o.lines++
	if strings.TrimSpace(text) != "" {
		o.last = text
	}
	if o.lines > maxLines {
		o.left++
		return
	}
	o.log.Info("hook output", "line", text)
}

// flush logs a last line without a newline, and what was left out.
func (o *output) flush() {
	if len(o.partial) > 0 {
		o.end()
	}
	if o.left > 0 {
		o.log.Warn("hook output left out", "lines", o.left, "bytes", o.bytes)
	}
}

// hint returns the last line of output for an error: that is where commands say
// what went wrong.
func (o *output) hint() string {
	if o.last == "" {
		return ""
	}
	last := o.last
	if len(last) > maxHint {
		last = strings.ToValidUTF8(last[:maxHint], "")
	}
	return fmt.Sprintf(", saying %q", last)
}
