package config

import "syscall"

// Windows has no signals, but Go gives some of them numbers, and a file written
// for another system should still be understood.
var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGKILL: "SIGKILL",
	syscall.SIGTERM: "SIGTERM", syscall.SIGABRT: "SIGABRT",
}

const lastSignal = 31

func signalNumber(name string) syscall.Signal {
	for sig, n := range signalNames {
		if n == name {
			return sig
		}
	}
	return 0
}

func signalName(sig syscall.Signal) string { return signalNames[sig] }
