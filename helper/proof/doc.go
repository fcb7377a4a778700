// Package proof finds out whether a service really has taken up what was published:
// it dials the service, as any client would, until the leaf that it presents is the
// one on disk.
//
// It promises that a proven rotation is one: a whole TLS handshake has shown
// that leaf, and that its private key is there. Where that is asked for, the service
// has accepted a client certificate, and named the authorities of the bundle if it
// names any; so many connections in a row have shown the leaf that a worker which is
// behind would be missed once in a thousand proofs; and a command has succeeded.
//
// It promises to be a light and polite guest: one connection at a time, and with
// growing pauses between looks, each said goodbye to in the terms of its protocol, so
// that no log fills up and no host is blocked. A proof ends with its timeout; its
// caller may look again later, as rarely as it likes. It believes nothing that it is
// told: answers are bounded in time and in size.
//
// It does not promise that a service trusts an authority which it does not name, and
// from which there is no SVID yet (Result.Unseen), nor that it refuses anyone: nginx
// refuses a client certificate in HTTP only, and a service with GnuTLS may refuse it by
// closing, once the handshake has succeeded. It does not promise that a
// worker is reached which the kernel gives no connection.
package proof
