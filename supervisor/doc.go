// Package supervisor owns one process and what it hears of rotations. It knows
// nothing of SPIFFE: somebody tells it that new files are on disk (Rotated),
// and it starts the process on top of them, tells it of later rotations,
// passes signals on, starts it again where that is asked for, and ends with
// its status.
//
// The process runs as if the helper were not there: argv and environment as
// given, the helper's own stdin, stdout, stderr and terminal, every signal
// passed on one for one, and the exit status handed back in the shell's terms
// (128+n for a death by signal n).
//
// # What is promised on each operating system
//
// Everywhere: the process is started after the first Rotated and never twice
// at once; Rotated, Restart and Stop never block; a stop while no process runs
// is immediate.
//
// Linux: the process gets its stop signal when the helper dies, even of
// SIGKILL, unless it has changed its own credentials since (the kernel forgets
// the wish then: su-exec, setuid programs). A rotation signal waits until the
// process has a handler for it, and is never sent where it would only end the
// process. As PID 1, or as a subreaper, every orphan is reaped. Job control
// works in front of a terminal.
//
// What Linux keeps from a Go program, and so from the process: SIGPROF and the
// real-time signals 32 to 34 cannot be caught and passed on; of the signals
// that were ignored when the helper was started only SIGHUP and SIGINT are
// still ignored in the process.
//
// macOS: as Linux, but there is no parent-death signal, no subreaper and no
// way to see handlers: the process outlives a helper that is killed with
// SIGKILL, and a rotation signal waits until the process has run for a second.
//
// Windows: there are no signals. A rotation means restart or nothing; to stop
// means Ctrl-Break to the process's own console group, then termination.
package supervisor
