package config

import (
	"github.com/svidhelper/svidhelper/helper/proof"
)

func proofTable(p *proof.Config) *block {
	return &block{name: "proof", fields: []field{
		{key: "tls", doc: "where it serves its certificate: host:port or unix:///path", value: checked(&p.TLS, checkDial)},
		{key: "starttls", doc: "the protocol to speak before TLS", value: choice(&p.StartTLS,
			word[proof.StartTLS]{"postgres", proof.StartTLSPostgres}, word[proof.StartTLS]{"mysql", proof.StartTLSMySQL},
			word[proof.StartTLS]{"smtp", proof.StartTLSSMTP}, word[proof.StartTLS]{"imap", proof.StartTLSIMAP}, word[proof.StartTLS]{"ldap", proof.StartTLSLDAP})},
		{key: "server_name", doc: "sent as SNI", value: text(&p.ServerName)},
		{key: "timeout", doc: "bounds the wait for the new certificate", value: duration(&p.Timeout)},
		{key: "on_failure", doc: "what to do if it is never served, in order", value: escalations(&p.OnFailure)},
	}, check: func(d *decoder, at places) {
		if at.lacks("tls") {
			d.errorf(at.block, `write tls = "127.0.0.1:8443"`, "proof needs an address to dial")
		}
	}}
}

// checkDial accepts host:port and unix:///path.
func checkDial(s string) (string, error) {
	return `write "127.0.0.1:8443" or "unix:///path"`, proof.CheckAddress(s)
}

func escalations(dst *[]proof.Escalation) value {
	words := []word[proof.Escalation]{{"signal", proof.EscalateSignal}, {"restart", proof.EscalateRestart}}
	return listOf(dst, func(d *decoder, n *node) (proof.Escalation, bool) { return oneOf(d, n, words) },
		func(e proof.Escalation) string { return quote(string(e)) })
}
