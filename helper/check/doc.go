// Package check says whether files are what the SPIFFE standards ask for, and
// whether they can be used now: X.509-SVIDs, JWT-SVIDs, WIT-SVIDs, private keys,
// bundles, revocation lists and keystores, whichever tool wrote them.
//
// Files go in, findings come out, each with the section of the standard that it
// rests on. What a standard forbids, or says a document must have, is a problem
// when it is not so; what a standard advises is a warning. So is what cannot be
// verified for want of a bundle, a key or a password.
//
// It reads no disk and asks no agent: the caller hands over bytes, and a function
// for what an agent has to say. All that it is given is hostile: what it says is
// printable, no finding quotes a key or a token, a key or a chain that takes long
// to verify is refused, and a keystore that takes long to open is given up.
//
// It does not promise that a service uses the files; that is what package proof is
// for.
package check
