// Package child starts the helper's children: the process, its guard, and the
// commands of hooks. It keeps the reaper of orphans from their exit statuses.
package child

import (
	"os/exec"
	"sync"
)

// children is every child of this process that somebody waits for, and how to
// let go of it. It is shared by the whole process, as waiting is: whoever reaps
// orphans has to know whose status is spoken for.
//
// The lock is held from before a fork until the child is known, so that the
// reaper never meets a child that it cannot tell from an orphan.
var children = struct {
	sync.Mutex
	waited map[int]chan struct{}
}{waited: map[int]chan struct{}{}}

// orphaned says that the reaper should look again: a waited-for child that was
// in front of others is gone.
var orphaned = make(chan struct{}, 1)

// Spawn calls fork, which starts a child and returns its pid, on a thread that
// lives until the child is released. Whoever spawns a child waits for it and
// then releases it, once.
//
// The thread matters on Linux: the parent-death signal is sent when the thread
// that forked ends, not when the process does, and the Go runtime ends threads
// as it sees fit. What fork changes of its thread (no_new_privs) stays there.
func Spawn(fork func() (pid int, err error)) (pid int, err error) {
	started := make(chan struct{})
	go OnOwnThread(func() {
		released := make(chan struct{})
		children.Lock()
		pid, err = inheriting(fork)
		if err == nil {
			children.waited[pid] = released
		} else {
			close(released)
		}
		children.Unlock()
		close(started)
		<-released
	})
	<-started
	return pid, err
}

// Release lets go of a child that was waited for.
func Release(pid int) {
	children.Lock()
	close(children.waited[pid])
	delete(children.waited, pid)
	children.Unlock()
	select {
	case orphaned <- struct{}{}:
	default:
	}
}

// Start is cmd.Start for a child whose status nobody steals, and whose
// parent-death signal, if it asks for one, means the helper's death.
// Wait has to follow.
func Start(cmd *exec.Cmd) error {
	_, err := Spawn(func() (int, error) {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	})
	return err
}

// Wait is cmd.Wait after Start.
func Wait(cmd *exec.Cmd) error {
	defer Release(cmd.Process.Pid)
	return cmd.Wait()
}
