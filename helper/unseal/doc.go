// Package unseal opens what has a password: PKCS#12 (RFC 7292), the Java KeyStore, and
// encrypted PKCS#8 (RFC 5958), whichever tool has written it.
//
// All that it is given is hostile. It promises that no error quotes a key. It does not
// promise to be quick: how often a password is hashed is written in the file itself.
package unseal
