// Package child starts the helper's children: the process, its guard, and the
// commands of hooks. It keeps their exit statuses from the reaper of orphans, and
// the helper as it was before: not dumpable, with the same signals ignored.
package child

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// children is every child of this process that is waited for, and how to let go
// of it. It is shared by the whole process, as waiting is: the reaper of orphans
// has to know which statuses are not its own.
//
// The lock is not held during a fork, which lasts until the child has executed
// its file: that may be on a network mount that hangs. While there are forks, the
// reaper leaves alone what it does not know.
var children = struct {
	sync.Mutex
	waited map[int]chan struct{}
	forks  int
}{waited: map[int]chan struct{}{}}

// orphaned says that the reaper should look again: a child that was in front of
// others, or that it did not know, is no longer in the way.
var orphaned = make(chan struct{}, 1)

// Spawn calls fork, which starts a child and returns its pid, on a thread that
// lives until the child is released. The caller waits for the child and then
// releases it, once.
//
// The thread matters on Linux: the parent-death signal is sent when the thread
// that forked ends, not when the process does, and the Go runtime ends threads
// as it sees fit. What fork changes of its thread (no_new_privs) stays there.
func Spawn(fork func() (pid int, err error)) (pid int, err error) {
	started := make(chan struct{})
	go OnOwnThread(func() {
		begin()
		pid, err = fork()
		released := end(pid, err)
		close(started)
		<-released
	})
	<-started
	return pid, err
}

// begin makes sure that what only the helper wants ignored is not ignored in the
// child: what is caught becomes the default by exec, what is ignored stays so.
func begin() {
	children.Lock()
	defer children.Unlock()
	if children.forks++; children.forks == 1 {
		ignoreOwn(false)
	}
}

// end follows begin and the fork, which has been successful or not.
func end(pid int, err error) (released chan struct{}) {
	released = make(chan struct{})
	children.Lock()
	defer children.Unlock()
	if children.forks--; children.forks == 0 {
		ignoreOwn(true)
	}
	// A child that becomes another user makes the helper dumpable: until it
	// executes its file, the two share their memory.
	Reprotect()
	if err != nil {
		close(released)
	} else {
		children.waited[pid] = released
	}
	lookAgain()
	return released
}

// Release lets go of a child that was waited for.
func Release(pid int) {
	children.Lock()
	close(children.waited[pid])
	delete(children.waited, pid)
	children.Unlock()
	lookAgain()
}

func lookAgain() {
	select {
	case orphaned <- struct{}{}:
	default:
	}
}

// Start is cmd.Start for a child whose status the reaper leaves alone, and whose
// parent-death signal, if it asks for one, means the helper's death. Wait has to
// follow.
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

// Reach finds the file that is to be executed, and reads its beginning. On a
// network mount that hangs, this hangs instead of a fork, in which the whole Go
// runtime would stop at its next garbage collection. Reach gives up when ctx
// ends; find may go on for as long as the file system does.
func Reach(ctx context.Context, find func() (path string, err error)) (path string, err error) {
	type result struct {
		path string
		err  error
	}
	found := make(chan result, 1)
	go func() {
		path, err := find()
		if err == nil {
			// A file that can be executed and not read is no error.
			if f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
				_, _ = f.Read(make([]byte, 1))
				f.Close()
			}
		}
		found <- result{path, err}
	}()
	select {
	case r := <-found:
		return r.path, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
