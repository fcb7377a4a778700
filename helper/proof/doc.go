// Package proof finds out whether a service really serves the certificate that
// was published: it dials the service, as any client would, until the leaf that
// it presents is the one on disk.
//
// It promises that a proven rotation is one: a whole TLS handshake has shown
// that leaf, and that its private key is there. It promises to be a light and
// polite guest: one connection at a time, and with growing pauses between looks,
// each said goodbye to in the terms of its protocol, so that no log fills up and no
// host is blocked. A proof ends with its timeout; its caller may look again later,
// as rarely as it likes. It believes nothing that it is told: answers are bounded in
// time and in size.
//
// It does not promise that a service which runs as several processes serves the
// new certificate from each: it has seen one of them.
package proof
