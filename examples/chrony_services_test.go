//go:build linux && services

package examples_test

import (
	"crypto/tls"
	"net"
	"os/exec"
	"testing"
)

// TestServiceChrony runs the example: 30 rotations while clients ask for cookies, and
// chronyd for the time. Each is a restart; it shows what one costs by hand, too.
func TestServiceChrony(t *testing.T) {
	t.Parallel()
	needRoot(t, "chronyd starts as root")
	chronyd := need(t, "chronyd")
	s := newService(t, "chrony")
	run := s.owned("run", "_chrony")
	_, ntske, _ := net.SplitHostPort(s.address)
	_, ntp, _ := net.SplitHostPort(freeAddress(t))
	conf := s.adapt("chrony/nts.conf",
		"allow 127.0.0.0/8", "allow 127.0.0.0/8\nlocal stratum 8\nbindaddress 127.0.0.1\nport "+ntp+"\nntsport "+ntske+
			"\ncmdport 0\nbindcmdaddress /\npidfile "+run+"/pid",
		"/var/lib/chrony", run,
		"/run/chrony-tls", s.tls)
	adapted := []string{
		`"-d", "-f", "/etc/chrony/chrony.conf"`, `"-x", "-d", "-f", "` + conf + `"`, // -x: the clock is not ours
		"127.0.0.1:4460", s.address,
		"/run/chrony-tls", s.tls,
	}

	// RFC 8915 4: NTPv4, AEAD_AES_SIV_CMAC_256, and the end; the answer begins with
	// the same.
	cookies := ask("\x80\x01\x00\x02\x00\x00\x80\x04\x00\x02\x00\x0f\x80\x00\x00\x00", "\x80\x01\x00\x02\x00\x00\x80\x04\x00\x02\x00\x0f")
	config := withoutCertificate(s.clientTLS())
	config.NextProtos, config.MinVersion = []string{"ntske/1"}, tls.VersionTLS13
	_, _, bundle := s.clientFiles()
	s.restartByHand(s.conf("chrony/helper.conf", adapted...),
		dropping(newClient("TLS connections", talkDial(s.address, config, nil, cookies)), dropped), chronyd, "-x", "-d", "-f", conf)

	s.start("chrony/helper.conf", adapted...)
	s.rotate(rotations, nil,
		dropping(newClient("TLS connections", talkDial(s.address, config, nil, cookies)), dropped))
	client := adaptText(t, "server localhost nts ntsport "+ntske+" port "+ntp+" iburst maxsamples 1\nntstrustedcerts "+bundle+
		"\ncmdport 0\nbindcmdaddress /\nport 0\nuser root\npidfile "+run+"/client", s.dir, "client.conf")
	start(t, exec.Command(chronyd, "-x", "-Q", "-f", client)).said("System clock wrong by")
	s.stop(0)
}
