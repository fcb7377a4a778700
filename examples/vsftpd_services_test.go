//go:build linux && services

package examples_test

import (
	"net"
	"testing"
)

// TestServiceVsftpd runs the example: 30 rotations while clients log in with mutual TLS,
// then a new authority. Each is a restart; it shows what one costs by hand, too.
func TestServiceVsftpd(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "vsftpd", "vsftpd", "openssl") })
	needRoot(t, "vsftpd starts as root")
	vsftpd := need(t, "vsftpd")
	curl := need(t, "curl")
	s := newService(t, "vsftpd")
	root, empty := s.owned("root", "root"), s.owned("empty", "root")
	adaptText(t, "hello", root, "hello")
	_, port, _ := net.SplitHostPort(s.address)
	conf := s.adapt("vsftpd/vsftpd.conf",
		"listen_port=21", "listen_port="+port+"\nanonymous_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nanon_root="+root+
			"\nsecure_chroot_dir="+empty+"\nxferlog_enable=NO",
		"/run/vsftpd-tls", s.tls)
	adapted := []string{
		"/etc/vsftpd.conf", conf,
		"127.0.0.1:21", s.address,
		"/run/vsftpd-tls", s.tls,
	}

	authTLS := lines("", "220 ", "AUTH TLS", "234 ")
	login := insideTLS(lines("USER ftp", "331 ", "PASS x", "230 ", "QUIT", "221 "))
	tls := s.clientTLS()
	s.restartByHand(s.conf("vsftpd/helper.conf", adapted...),
		dropping(newClient("TLS connections", talkDial(s.address, tls, authTLS, login)), dropped), vsftpd, conf)

	s.start("vsftpd/helper.conf", adapted...)
	cert, key, bundle := s.clientFiles()
	s.rotate(rotations, nil,
		dropping(newClient("TLS connections", talkDial(s.address, tls, authTLS, login)), dropped),
		dropping(s.ownClient("curl", "hello", curl, "-sS", "--ssl-reqd", "--cacert", bundle, "--cert", cert, "--key", key,
			"ftp://localhost:"+port+"/hello"), curlDropped))

	s.trustsNewAuthority(authTLS, login)
	s.refusesStranger(authTLS, login)
	s.stop(143) // vsftpd ends by the signal
}
