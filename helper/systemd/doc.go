// Package systemd tells systemd how the helper is doing, by the protocol of
// sd_notify(3), and passes on what a process that speaks it too has to say.
//
// It promises:
//
//   - READY=1 when every output is on disk and the process, if there is one, has
//     been started, and not before. A process with notify = true has then said so
//     itself.
//   - EXTEND_TIMEOUT_USEC while outputs are awaited: a unit that waits for its
//     identity does not fail for that.
//   - RELOADING=1 with the time before a configuration is read again, READY=1
//     after it.
//   - WATCHDOG=1 only while the helper's loops turn. Each beat asks them.
//   - STOPPING=1 when the helper, or the process and it with the process, is about
//     to end, and no READY=1 after it.
//   - STATUS with the identity and its expiry, or why the helper is not ready.
//
// The main process of the unit is the helper: a MAINPID of the process is not
// passed on, and neither is its WATCHDOG.
//
// Without NOTIFY_SOCKET there is no Manager, and all of this costs nothing.
package systemd
