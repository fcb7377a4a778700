// Package supervisor owns one process and what it hears of rotations; package
// hook, below it, tells others. It knows nothing of SPIFFE: somebody tells it that
// new files are on disk (Rotated), and it starts the process on top of them,
// tells it of later rotations, passes signals on, starts it again where that is
// asked for, and ends with its status.
//
// The process runs as if the helper were not there: argv and environment as
// given, the helper's own stdin, stdout, stderr, terminal and limits, every
// signal passed on one for one, and the exit status handed back in the shell's
// terms (128+n for a death by signal n).
//
// # Promised on every operating system
//
// The process is started after the first Rotated, and there are never two at
// once. Every rotation reaches it: by its signal, by a restart, or by a start
// after it; several that come close together may be one to it. Rotated, Restart
// and Stop do not block. A stop while no process runs is immediate.
//
// # Linux
//
// The process gets its stop signal when the helper dies, even of SIGKILL, and so
// takes its own children with it. The kernel forgets that wish for a process
// that changes its credentials. One that does so by executing a file that is
// setuid, setgid or has capabilities has a guard, a small process beside it; one
// that does it later (su-exec, gosu) outlives a helper that is killed.
//
// A rotation signal waits until the process has a handler for it, and one that
// would only end the process is not sent: that is a Failure in Status, and so is
// a signal that the process ignores. Whether a Go program handles SIGHUP, SIGINT,
// SIGQUIT, SIGABRT or SIGTERM only its memory tells, which the helper reads if it
// may: not, without CAP_SYS_PTRACE, that of another user's process. Such a
// program, Java's virtual machine, and bash with a trap for EXIT, all of which
// have handlers of their own that end them, are told if somebody has chosen the
// signal, and not if nobody has. Ruby, which has one, too, is told once it has run
// for ten seconds.
//
// As PID 1, or as a subreaper, every orphan is reaped. In front of a terminal,
// job control works as for the process itself.
//
// What cannot be done from a Go program: SIGPROF and the real-time signals 32 to
// 34 are not passed on; of the signals that were ignored when the helper was
// started only SIGHUP and SIGINT are still ignored in the process, and of those
// that were blocked some are not blocked in it (SIGHUP, SIGTERM and SIGCHLD among
// them).
//
// # macOS
//
// As Linux, but there is no parent-death signal, no subreaper and no view of
// handlers: the process outlives a helper that is killed with SIGKILL, and a
// rotation signal waits until the process has run for a second.
//
// # Windows
//
// There are no signals: a rotation means restart or nothing. To stop means
// Ctrl-Break to the process's own console group, or termination where there is
// no console; the process outlives a helper that is terminated.
package supervisor
