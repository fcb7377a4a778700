package ask

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/svidhelper/svidhelper/writer"
)

// atOnce is how many are answered at the same time. The others wait.
const atOnce = 8

// A Server answers beside one set.
type Server struct {
	path     string
	made     fs.FileInfo // of the socket
	listener *net.UnixListener
	answer   func(question string) Answer
	ctx      context.Context // ended by Close
	end      context.CancelFunc
	running  sync.WaitGroup
}

// Serve answers beside a set until Close is called. The caller holds the lock of
// the set: a socket that is there already was left by a helper that has ended.
// answer is called by several goroutines, and must not block.
func Serve(dir, set string, answer func(question string) Answer) (*Server, error) {
	name := writer.SocketName(set)
	s := &Server{path: filepath.Join(dir, name), answer: answer}
	s.ctx, s.end = context.WithCancel(context.Background())
	if err := removeStale(s.path); err != nil {
		return nil, err
	}
	address, release, err := short(dir, name)
	if err != nil {
		return nil, err
	}
	defer release()
	config := net.ListenConfig{Control: private}
	l, err := config.Listen(context.Background(), "unix", address)
	if err != nil {
		return nil, err
	}
	s.listener = l.(*net.UnixListener)
	s.listener.SetUnlinkOnClose(false) // its name may be that of a descriptor that is gone
	if s.made, err = os.Lstat(s.path); err == nil {
		err = protect(s.path)
	}
	if err != nil {
		_ = s.listener.Close()
		return nil, err
	}
	s.running.Go(s.run)
	return s, nil
}

// removeStale removes a socket that an earlier helper has left.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is no socket: find out which program put it there, and remove it", path)
	}
	return os.Remove(path)
}

// Lost reports whether another program has removed the socket or put something
// else in its place.
func (s *Server) Lost() bool {
	now, err := os.Lstat(s.path)
	return err != nil || !os.SameFile(s.made, now)
}

// Close ends the answers, and removes the socket. It waits for no client that has
// not asked yet.
func (s *Server) Close() {
	s.end()
	if !s.Lost() {
		_ = os.Remove(s.path)
	}
	_ = s.listener.Close()
	s.running.Wait()
}

func (s *Server) run() {
	free := make(chan struct{}, atOnce)
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors, for now
			time.Sleep(time.Second / 10)
			continue
		}
		free <- struct{}{}
		s.running.Go(func() {
			defer func() { <-free }()
			s.serve(conn)
		})
	}
}

// serve answers one question.
func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	defer context.AfterFunc(s.ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	question, err := bufio.NewReaderSize(io.LimitReader(conn, maxQuestion), maxQuestion).ReadString('\n')
	if err != nil {
		return
	}
	_, _ = conn.Write(s.answer(strings.TrimSpace(question)).line()) // the client may be gone
}
