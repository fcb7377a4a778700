package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// serviceName is the source of what a service logs; the service itself may have
// any name.
const serviceName = "svidhelper"

// orders are what the service control manager wants, in the terms of signals.
var orders = make(chan os.Signal, 1)

// subscribe has c receive signals, and the orders of the service control manager.
func subscribe(c chan<- os.Signal, signals ...os.Signal) {
	signal.Notify(c, signals...)
	go func() {
		for order := range orders {
			c <- order
		}
	}()
}

// serve runs the program, as a service if Windows has started it as one.
func serve(args []string) int {
	if is, err := svc.IsWindowsService(); err != nil || !is {
		return dispatch(args, os.Stdout, os.Stderr)
	}
	// A process below can be asked to end by Ctrl-Break only through a console,
	// which a service has none of.
	_, _, _ = windows.NewLazySystemDLL("kernel32.dll").NewProc("AllocConsole").Call()
	s := &service{args: args}
	if err := svc.Run(serviceName, s); err != nil {
		return exitFailure
	}
	return int(s.code)
}

// A service is the program under the service control manager. It logs to the event
// log.
type service struct {
	args []string
	code uint32
}

// Execute implements svc.Handler.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	status <- svc.Status{State: svc.StartPending}
	var log io.Writer = io.Discard
	if l, err := eventlog.Open(serviceName); err == nil {
		defer l.Close()
		log = eventWriter{l}
	}
	ended := make(chan int, 1)
	go func() { ended <- dispatch(s.args, io.Discard, log) }()
	running := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	status <- running
	for {
		select {
		case exit := <-ended:
			// Any other code than 0 has the manager start the service again, where
			// it is configured to.
			s.code = uint32(exit)
			status <- svc.Status{State: svc.StopPending}
			return true, s.code
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				running = svc.Status{State: svc.StopPending, WaitHint: 60_000} // milliseconds
				status <- running
				select {
				case orders <- syscall.SIGTERM:
				default: // it has been told
				}
			}
		}
	}
}

// An eventWriter writes each line of the log as an event.
type eventWriter struct{ log *eventlog.Log }

func (w eventWriter) Write(line []byte) (int, error) {
	text := string(bytes.TrimRight(line, "\r\n"))
	write := w.log.Info
	switch {
	case bytes.Contains(line, []byte("level=ERROR")), bytes.Contains(line, []byte(`"level":"ERROR"`)):
		write = w.log.Error
	case bytes.Contains(line, []byte("level=WARN")), bytes.Contains(line, []byte(`"level":"WARN"`)):
		write = w.log.Warning
	}
	if err := write(1, text); err != nil {
		return 0, fmt.Errorf("event log: %w", err)
	}
	return len(line), nil
}
