// Package supervisor owns one process and what it is told of rotations; package
// hook, below it, tells others. It knows nothing of SPIFFE: the caller says that
// new files are on disk (Rotated), and the package starts the process on top of
// them, tells it of later rotations, passes signals on, starts it again where
// the Spec says so, and ends with its status.
//
// The process runs as if the helper were not there: argv and environment as
// given, the helper's own stdin, stdout, stderr, terminal and limits, signals
// passed on one for one, and the exit status handed back in the shell's terms
// (128+n for a death by signal n).
//
// # Promised on every operating system
//
// The process is started after the first Rotated, and there are never two at
// once. Every rotation reaches it: by its signal, by a restart, or by a start
// after it; several that come close together may be one to it. Rotated, Restart
// and Stop do not block. A stop while no process runs is immediate.
//
// A rotation signal waits until the process has a handler for it, since it would
// end the process otherwise. A process that has none after ten seconds is not
// signalled, and that is a Failure in Status, unless the signal is one that
// means the end (SIGTERM, SIGINT, SIGQUIT, SIGKILL). Where handlers cannot be
// seen, the signal waits until the process has run for a second.
//
// When the process has ended, what is left of its process group is asked to end,
// and killed if it does not: it would hold the next one's port.
//
// # Linux
//
// Handlers are seen in /proc/PID/status, and in that of the process's threads.
// The helper looks at nothing else of a process: not at its memory, and not at
// its executable. So it does not know what a handler does. The runtimes of Go,
// Java and Ruby, and bash with a trap for EXIT, have handlers from their start,
// and some of these end the program: choose a signal that the program expects. A
// Go program is signalled once it has a thread for signals (it has called
// signal.Notify), or one second after it was first seen. A program whose first
// thread waits in sigwait, as that of named, tini and dumb-init does, is not told:
// the kernel shows the signal there as neither caught nor blocked, as in a program
// that it would end. sudo, su and timeout may keep a signal to themselves. Make the
// program itself the Command, with User.
//
// The process gets its stop signal when the helper dies, even of SIGKILL, and so
// takes its own children with it. The kernel forgets that wish for a process
// that changes its credentials. One that does so by executing a file that is
// setuid, setgid or has capabilities has a guard, a small process beside it; one
// that does it later (su-exec, gosu) outlives a helper that is killed.
//
// As PID 1, or as a subreaper, every orphan is reaped. In front of a terminal,
// job control works as for the process itself.
//
// # What cannot pass through a Go program
//
// SIGKILL and SIGSTOP reach the helper only. SIGPIPE, SIGURG, SIGCHLD, SIGPROF
// and the real-time signals 32 to 34 (SIGRTMIN is 34) are not passed on, and do
// not end the helper. Of the signals that were ignored when the helper was
// started only SIGHUP and SIGINT are still ignored in the process, and of those
// that were blocked some are not blocked in it (SIGHUP, SIGTERM and SIGCHLD among
// them).
//
// # macOS
//
// As Linux, but there is no parent-death signal, no subreaper and no view of
// handlers: the process outlives a helper that is killed with SIGKILL.
//
// # Windows
//
// There are no signals: a rotation means restart or nothing. To stop means
// Ctrl-Break to the process's own console group, or termination where there is
// no console; the process outlives a helper that is terminated.
package supervisor
