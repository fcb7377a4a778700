package source

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watchClock calls stepped when the wall clock was set or the machine was asleep,
// until ctx ends. It asks for a timer that is far away and is cancelled by either:
// the kernel wakes us then and at no other time. A look at the clock every few
// seconds would do as well, but for its wake-ups.
func watchClock(ctx context.Context, stepped func()) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		compareClocks(ctx, stepped)
		return
	}
	timer := os.NewFile(uintptr(fd), "clock")
	defer timer.Close()
	stop := context.AfterFunc(ctx, func() { timer.Close() })
	defer stop()
	for expirations := make([]byte, 8); ; {
		if err := armClock(timer); err != nil {
			compareClocks(ctx, stepped) // or ctx has ended
			return
		}
		_, err := timer.Read(expirations)
		switch {
		case errors.Is(err, unix.ECANCELED):
			stepped()
		case err != nil: // closed
			return
		}
	}
}

func armClock(timer *os.File) error {
	farAway := time.Now().AddDate(10, 0, 0)
	conn, err := timer.SyscallConn()
	if err != nil {
		return err
	}
	var armed error
	err = conn.Control(func(fd uintptr) {
		at := unix.ItimerSpec{Value: unix.NsecToTimespec(farAway.UnixNano())}
		armed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &at, nil)
	})
	return errors.Join(err, armed)
}
