package supervisor

import (
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// atOnce is within what time the process ends that was only to start another one.
const atOnce = time.Second

// report logs what has become of the process.
func (l *loop) report(before state, e event) {
	log, now := l.s.log, l.state
	switch {
	case e.kind == evStarted && now.pid != 0 && before.pid == 0:
		log.Info("process started", "pid", now.pid, "command", child.Argv(l.state.spec.Command))
	case e.kind == evExited && before.pid != 0:
		args := []any{"pid", before.pid, "ran", e.at.Sub(before.startedAt).Round(time.Millisecond)}
		if e.exit.Signal != 0 {
			args = append(args, "signal", signals.Name(e.exit.Signal))
		} else {
			args = append(args, "status", e.exit.Code)
		}
		if e.exit.Status() == 0 || before.phase == stopping {
			log.Info("process ended", args...)
		} else {
			log.Warn("process ended", args...)
		}
		if before.spec.Restart == RestartNever && before.phase == running && e.exit.Status() == 0 && e.at.Sub(before.startedAt) < atOnce {
			log.Warn("process ended at once, with status 0: a server that goes into the background is not supervised; keep it in the foreground",
				"command", child.Argv(before.spec.Command), "example", "nginx -g 'daemon off;'")
		}
	case e.kind == evFailed:
		log.Error("process not started", "error", e.err)
	}
	if now.phase == backoff && before.phase != backoff {
		log.Info("process is started again after a while", "in", now.startAt.Sub(e.at).Round(time.Millisecond))
	}
	if now.phase == done && now.failure != before.failure {
		log.Error("process is not started again", "error", now.failure)
		return
	}
	// Once for each failure, and again for each rotation that meets it.
	if now.failure != "" && e.kind != evFailed && (now.failure != before.failure || e.kind == evRotated) {
		log.Error("process is not up to date", "error", now.failure,
			"rotated", now.asked, "delivered", now.delivered)
	}
}

func (l *loop) reportSent(a action, err error) {
	if err != nil {
		l.s.log.Error("process not signalled", "pid", a.pid, "signal", signals.Name(a.signal), "error", err)
		return
	}
	l.s.log.Debug("process signalled", "pid", a.pid, "signal", signals.Name(a.signal), "why", a.why)
}

func (l *loop) reportKilled(a action, err error) {
	args := []any{"pid", a.pid, "after", l.state.spec.StopTimeout, "signal", signals.Name(syscall.SIGKILL)}
	if err != nil {
		args = append(args, "error", err)
	}
	l.s.log.Warn("process did not stop in time, killed with its group", args...)
}

func (l *loop) reportTold(a action, err error) {
	if err == nil {
		l.s.log.Info("process told of the rotation", "pid", a.pid, "signal", signals.Name(a.signal))
	}
}
