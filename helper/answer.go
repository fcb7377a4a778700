package helper

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/ask"
)

// answer is what is said on the socket beside a set.
func (d *daemon) answer(question string) ask.Answer {
	what, level, _ := strings.Cut(question, " ")
	switch what {
	case ask.Ready:
	case ask.SetLevel:
		var l slog.Level
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return ask.Answer{Error: fmt.Sprintf("%.20q is no level: it is debug, info, warn or error", level)}
		}
		d.logAt(l, "it was asked for")
	default:
		return ask.Answer{Error: fmt.Sprintf("%.20q is no question", what)}
	}
	s := d.status()
	a := ask.Answer{Level: strings.ToLower(d.options.Level.Level().String())}
	a.Ready, a.Reasons = s.Ready(time.Now())
	return a
}

// logAt has the log written at a level from now on, and says so at any level.
func (d *daemon) logAt(level slog.Level, why string) {
	if d.options.Level.Level() == level {
		return
	}
	d.options.Level.Set(min(level, slog.LevelInfo))
	d.log.Info("the log level is another one from now on", "level", strings.ToLower(level.String()), "reason", why)
	d.options.Level.Set(level)
}

// toggleLevel changes between the configured level and debug.
func (d *daemon) toggleLevel(sig os.Signal) {
	level := d.parts.Load().config.Log.Level
	if d.options.Level.Level() == level {
		level = slog.LevelDebug
	}
	d.logAt(level, fmt.Sprintf("signal %q", sig))
}
