package config

import (
	"github.com/svidhelper/svidhelper/helper/proof"
)

func proofTable(p *proof.Config) *block {
	return &block{name: "proof", fields: []field{
		{key: "tls", doc: "where it serves its certificate: host:port or unix:///path", needed: `tls = "127.0.0.1:8443"`, value: checked(&p.TLS, func(s string) (string, error) {
			return `write "127.0.0.1:8443" or "unix:///path"`, proof.CheckAddress(s)
		})},
		{key: "starttls", doc: "the protocol to speak before TLS", value: constant(&p.StartTLS, "", proof.Protocols()...)},
		{key: "server_name", doc: "sent as SNI", value: text(&p.ServerName)},
		{key: "alpn", doc: "offered as protocols for inside TLS, where the service insists on one", value: listOf(&p.ALPN, textParser[string](func(_ *decoder, s string) (string, string, error) {
			return s, "", proof.CheckALPN(s)
		}).element, quote)},
		{key: "timeout", doc: "bounds the wait for the new certificate", value: duration(&p.Timeout)},
		{key: "on_failure", doc: "what to do if it is never served, in order", value: escalations(&p.OnFailure)},
	}, check: func(d *decoder, at places) {
		if (p.StartTLS == proof.StartTLSXMPP || p.StartTLS == proof.StartTLSXMPPServer) && p.ServerName == "" && at.has("tls") && !proof.Named(p.TLS) {
			d.errorf(at.of("starttls"), `write server_name = "example.org", the host that it serves`, "starttls %s names a host to the service, and there is none", p.StartTLS)
		}
	}}
}

func escalations(dst *[]proof.Escalation) scalar {
	words := []word[proof.Escalation]{{"signal", proof.EscalateSignal}, {"restart", proof.EscalateRestart}}
	return listOf(dst, func(d *decoder, n *node) (proof.Escalation, bool) { return oneOf(d, n, words) },
		func(e proof.Escalation) string { return quote(string(e)) })
}
