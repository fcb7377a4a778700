// Package ask lets a program ask a running helper, through a unix socket beside
// the set that the helper publishes: whether it is ready, for a probe in an image
// without a shell, and to log at another level.
//
// It promises that the socket is its owner's alone (0600, from its first instant),
// that no key and no token goes through it, that what comes through it is bounded
// in size, number and time, and that a socket of a helper that has ended is
// replaced. Sets that share a directory have a socket each.
//
// It does not promise that there is one: a directory that is read-only, closed to
// the helper, or on a file system without sockets has none. The log says so, and
// health's /ready answers the same question. Nor does it promise to work on
// Windows.
package ask
