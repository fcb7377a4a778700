package config

import (
	"slices"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

func proofTable(p *proof.Config) *block {
	return &block{name: "proof", fields: []field{
		{key: "tls", doc: "where it serves its certificate: host:port or unix:///path", value: checked(&p.TLS, func(s string) (string, error) {
			return `write "127.0.0.1:8443" or "unix:///path"`, proof.CheckAddress(s)
		})},
		{key: "starttls", doc: "the protocol to speak before TLS", value: constant(&p.StartTLS, "", proof.Protocols()...)},
		{key: "server_name", doc: "sent as SNI", value: text(&p.ServerName)},
		{key: "alpn", doc: "offered as protocols for inside TLS, where the service insists on one", value: listOf(&p.ALPN, textParser[string](func(_ *decoder, s string) (string, string, error) {
			return s, "", proof.CheckALPN(s)
		}).element, quote)},
		{key: "client_ca", doc: "it must also take our client certificate, and name the authorities of the bundle if it names any", value: boolean(&p.ClientCA, true)},
		{key: "workers", doc: "among how many processes or sockets it shares out connections by chance; so many are made that one that is behind is missed once in a thousand rotations", value: integer(&p.Workers, 1, proof.MaxWorkers)},
		{key: "command", doc: "run until it exits with status 0; nothing goes through a shell", value: argv(&p.Command)},
		{key: "timeout", doc: "bounds the wait for all of that", value: duration(&p.Timeout)},
		{key: "on_failure", doc: "what to do if it is never proven, in order", value: escalations(&p.OnFailure)},
	}, check: func(d *decoder, at places) { d.checkProof(p, at) }}
}

func (d *decoder) checkProof(p *proof.Config, at places) {
	if at.lacks("tls") && at.lacks("command") {
		d.errorf(at.block, `write tls = "127.0.0.1:8443", or command = ["program", "argument"]`, "proof needs tls or command")
	}
	for _, key := range []string{"starttls", "server_name", "alpn", "client_ca", "workers"} {
		if at.has(key) && at.lacks("tls") {
			d.errorf(at.of(key), `write tls = "127.0.0.1:8443", or leave it out`, "%s is for a proof with tls", key)
		}
	}
	if slices.Contains([]proof.StartTLS{proof.StartTLSXMPP, proof.StartTLSXMPPServer}, p.StartTLS) && p.ServerName == "" && at.has("tls") && !proof.Named(p.TLS) {
		d.errorf(at.of("starttls"), `write server_name = "example.org", the host that it serves`, "starttls %s names a host to the service, and there is none", p.StartTLS)
	}
	d.proofs[p] = at
}

// checkProven refuses a proof by tls where no certificate is published, and client_ca
// where nothing that is published could be trusted by the service, or where a change of
// the bundle reaches no one.
func (d *decoder) checkProven(t *Target, outputs []encode.Output) {
	if t.Proof == nil {
		return
	}
	proof := d.proofs[t.Proof]
	at := proof.of("client_ca")
	written := snapshot.KindNone
	for i := range outputs {
		written |= outputs[i].Written()
	}
	switch {
	case proof.has("tls") && !written.Has(snapshot.KindX509):
		d.errorf(proof.of("tls"), "write x509_svid { } into an output", "tls: what is served is compared with an X.509-SVID, and no output has one")
	case !t.Proof.ClientCA:
	case !written.Has(snapshot.KindBundle):
		d.errorf(at, `name the file of the bundle in x509_svid: bundle = "ca.crt"`, "client_ca needs a bundle that the service trusts, and no output writes one")
	case !t.On.Has(snapshot.KindBundle):
		d.errorf(at, `add "bundle" to on`, "client_ca proves a change of the bundle, and on = %s leaves it out", literalList(t.On.Names(), quote))
	}
}

func escalations(dst *[]proof.Escalation) scalar {
	words := []word[proof.Escalation]{{"signal", proof.EscalateSignal}, {"restart", proof.EscalateRestart}}
	return listOf(dst, func(d *decoder, n *node) (proof.Escalation, bool) { return oneOf(d, n, words) },
		func(e proof.Escalation) string { return quote(string(e)) })
}
