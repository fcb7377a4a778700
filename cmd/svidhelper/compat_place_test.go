//go:build unix

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Where files go: what was there before, and who else writes there.

const inCerts = oneShot + "cert_dir = \"certs\"\n"

var placeFacts = []fact{
	{name: "owner and group of a file that is replaced are kept", conf: inCerts, test: func(t *testing.T, s *swapped) {
		if os.Getuid() != 0 {
			t.Skip("only root can give files away")
		}
		s.put("certs/key.pem", "old")
		faultlessly(t, os.Chown(s.path("certs", "key.pem"), 12345, 12346))
		s.run(0)
		info, err := os.Stat(s.path("certs", "key.pem"))
		faultlessly(t, err)
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 12345 || stat.Gid != 12346 {
			t.Errorf("the key belongs to %d:%d now", stat.Uid, stat.Gid)
		}
		if info.Size() <= 3 {
			t.Error("the key is still the old one")
		}
	}},
	{name: "owner and group of a file stay with publish = in-place", conf: inCerts + "publish = \"in-place\"\n", test: func(t *testing.T, s *swapped) {
		if os.Getuid() != 0 {
			t.Skip("only root can give files away")
		}
		s.put("certs/key.pem", "old")
		faultlessly(t, os.Chown(s.path("certs", "key.pem"), 12345, 12346))
		s.run(0)
		info, err := os.Lstat(s.path("certs", "key.pem"))
		faultlessly(t, err)
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 12345 || stat.Gid != 12346 || info.Size() <= 3 {
			t.Errorf("the key belongs to %d:%d now, and has %d bytes", stat.Uid, stat.Gid, info.Size())
		}
	}},
	{name: "publish = rename makes plain files", conf: inCerts + "publish = \"rename\"\n", test: func(t *testing.T, s *swapped) {
		s.run(0)
		for _, name := range []string{"svid.pem", "key.pem", "bundle.pem"} {
			info, err := os.Lstat(s.path("certs", name))
			faultlessly(t, err)
			if !info.Mode().IsRegular() {
				t.Errorf("%s is %v", name, info.Mode())
			}
		}
	}},
	{name: "a name that is a link to elsewhere is replaced, and the log and config check say so", conf: inCerts, test: func(t *testing.T, s *swapped) {
		s.put("elsewhere/svid.pem", "old")
		s.put("certs/.keep", "")
		faultlessly(t, os.Symlink("../elsewhere/svid.pem", s.path("certs", "svid.pem")))
		const says = "is a symbolic link to ../elsewhere/svid.pem: it will be replaced"
		s.checks(says)
		s.run(0)
		s.log.await(t, says)
		if got := s.read("elsewhere", "svid.pem"); got != "old" {
			t.Errorf("elsewhere is %q now", got)
		}
		wantCertificates(t, s.read("certs", "svid.pem"), s.api.SVIDs()[0].Certificates...)
	}},
	{name: "a name that is a link to elsewhere is never followed, with publish = in-place neither, and the log and config check say so", conf: inCerts + "publish = \"in-place\"\n", test: func(t *testing.T, s *swapped) {
		s.put("elsewhere/svid.pem", "old")
		s.put("certs/.keep", "")
		faultlessly(t, os.Symlink("../elsewhere/svid.pem", s.path("certs", "svid.pem")))
		const says = "is a symbolic link to ../elsewhere/svid.pem: it will be replaced"
		s.checks(says)
		s.run(0)
		s.log.await(t, says)
		if got := s.read("elsewhere", "svid.pem"); got != "old" {
			t.Errorf("elsewhere is %q now", got)
		}
	}},
	{name: "a name that is a link to elsewhere: the place that it leads to can be named", bare: true, conf: inCerts + strings.Replace(x509Names, "svid.pem", "../elsewhere/svid.pem", 1), test: writes("elsewhere/svid.pem", "certs/key.pem")},
	{name: "a parent directory that anyone can write in is accepted, with a warning", conf: oneShot + "cert_dir = \"open/certs\"\n", test: func(t *testing.T, s *swapped) {
		faultlessly(t, os.Mkdir(s.path("open"), 0o777))
		faultlessly(t, os.Chmod(s.path("open"), 0o777))
		s.checks("every user can write in " + s.path("open"))
		s.run(0)
		s.log.await(t, "every user can write in "+s.path("open"))
		writes("open/certs/svid.pem")(t, s)
	}},
	{name: "a link that another user owns on the way is accepted, with a warning", conf: oneShot + "cert_dir = \"link/certs\"\n", test: func(t *testing.T, s *swapped) {
		if os.Getuid() != 0 {
			t.Skip("only root can give links away")
		}
		faultlessly(t, os.Mkdir(s.path("real"), 0o755))
		faultlessly(t, os.Symlink("real", s.path("link")))
		faultlessly(t, os.Lchown(s.path("link"), 12345, 12345))
		s.checks("is a symbolic link of uid 12345")
		s.run(0)
		s.log.await(t, "is a symbolic link of uid 12345")
		writes("real/certs/svid.pem")(t, s)
	}},
	{name: "a cert_dir that cannot be written at start: the daemon goes on trying, not ready", conf: "cert_dir = \"certs\"\n", test: func(t *testing.T, s *swapped) {
		s.write("certs", "a file in its place")
		p := s.probed("")
		s.start()
		p.await(t, "/ready", 503)
		p.await(t, "/live", 503)
		faultlessly(t, os.Remove(s.path("certs")))
		p.await(t, "/ready", 200)
		wantCertificates(t, s.read("certs", "svid.pem"), s.api.SVIDs()[0].Certificates...)
		s.stop(syscall.SIGTERM, 0)
	}},
	{name: "a cert_dir that cannot be written at start: the one-shot fails", conf: inCerts, test: func(t *testing.T, s *swapped) {
		s.write("certs", "a file in its place")
		s.run(1)
		s.log.await(t, "certs")
	}},
	{name: "two one-shots with two hints may use one cert_dir", api: hinted, bare: true, test: func(t *testing.T, s *swapped) {
		for _, hint := range []string{"first", "second", "first"} {
			s.configure(oneShot + fmt.Sprintf("hint = %q\n", hint) + namesOf(hint))
			s.run(0)
		}
		for _, hint := range []string{"first", "second"} {
			if got := certificates(t, s.read("certs", hint+".pem"))[0].URIs[0].Path; got != "/"+hint {
				t.Errorf("%s.pem is of %s", hint, got)
			}
			_, err := tls.LoadX509KeyPair(s.path("certs", hint+".pem"), s.path("certs", hint+"-key.pem"))
			faultlessly(t, err)
		}
	}},
	{name: "two daemons and two one-shots over one cert_dir through 100 rotations: nothing is lost, nothing torn", bare: true, test: crowd},
}

// namesOf are the names of one of several users of certs.
func namesOf(who string) string {
	return fmt.Sprintf("cert_dir = \"certs\"\nsvid_file_name = \"%[1]s.pem\"\nsvid_key_file_name = \"%[1]s-key.pem\"\nsvid_bundle_file_name = \"%[1]s-bundle.pem\"\n", who)
}

// put writes a file, and the directory that it is in.
func (s *swapped) put(name, text string) {
	s.t.Helper()
	faultlessly(s.t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	s.write(name, text)
}

// checks has config check look at the disk, and say that. It touches nothing.
func (s *swapped) checks(says string) {
	s.t.Helper()
	out, _ := s.command("svidhelper", "config", "check", "-here", "helper.conf").CombinedOutput()
	if !strings.Contains(string(out), says) {
		s.t.Errorf("config check does not say %q:\n%s", says, out)
	}
}

// crowd has two daemons, and two one-shots again and again, share a directory with
// different names, while a reader looks at all of it.
func crowd(t *testing.T, s *swapped) {
	users := []string{"a", "b", "c", "d"} // two daemons, two one-shots
	for _, who := range users {
		s.write(who+".conf", namesOf(who))
	}
	for _, who := range users[:2] {
		c := s.command(s.name, "-config", who+".conf")
		c.Stderr = s.log
		faultlessly(t, c.Start())
		defer func() {
			faultlessly(t, c.Process.Signal(syscall.SIGTERM))
			faultlessly(t, c.Wait())
		}()
	}
	once := func(who string) error {
		if out, err := s.command(s.name, "-config", who+".conf", "-daemon-mode=false").CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", who, err, out)
		}
		return nil
	}
	for _, who := range users[2:] {
		faultlessly(t, once(who))
	}
	for _, who := range users[:2] {
		eventually(t, func() error { return s.whole(who) })
	}
	reads, rotations, runs := 0, 100, 0
	for i := range rotations {
		before := s.read("certs", "a.pem")
		var busy sync.WaitGroup
		if i%4 == 0 { // each is a program that starts
			for _, who := range users[2:] {
				runs++
				busy.Go(func() {
					if err := once(who); err != nil {
						t.Error(err)
					}
				})
			}
		}
		s.api.Rotate()
		eventually(t, func() error { // an error is only that it has not come yet
			for _, who := range users {
				reads++
				if err := s.whole(who); err != nil {
					t.Errorf("%s: %v", who, err)
				}
			}
			if s.read("certs", "a.pem") == before {
				return errors.New("the rotation did not come")
			}
			return nil
		})
		busy.Wait()
	}
	for _, who := range users {
		faultlessly(t, s.whole(who))
	}
	t.Logf("%d rotations, %d one-shots, %d looks at a set", rotations, runs, reads)
}

// whole reports what is wrong with a set as a reader finds it that takes all of one
// generation. One that is gone by then has been followed by another.
func (s *swapped) whole(who string) (err error) {
	for range 10 {
		link, gone := filepath.EvalSymlinks(s.path("certs", who+".pem"))
		if gone != nil {
			return gone
		}
		dir := filepath.Dir(link)
		_, err = tls.LoadX509KeyPair(filepath.Join(dir, who+".pem"), filepath.Join(dir, who+"-key.pem"))
		bundle, missing := os.ReadFile(filepath.Join(dir, who+"-bundle.pem"))
		if err = errors.Join(err, missing); err == nil && !strings.HasSuffix(string(bundle), "-----END CERTIFICATE-----\n") {
			return errors.New("the bundle is torn")
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func TestCompatPlace(t *testing.T) { testFacts(t, placeFacts) }
