// Package health says over HTTP how the helper is doing: live, ready, metrics, a
// status for programs, and the same as a page for people. Status values come in,
// HTTP goes out; nothing here is shared with the packages that report, and nothing
// here acts.
//
// It promises that ready is true: the validity of what is on disk is compared
// with the clock at each request, so that an SVID that expires during an outage
// turns ready false although nothing happens. It promises that no private key
// and no token can leave through it: a Status has none. It promises that whatever
// the Workload API sends and clients do, what it says and what it holds in memory
// have a bound, and that no text of unknown origin moves a terminal's cursor or is
// taken for markup. Nothing runs between two requests, but for a page that is open.
//
// It does not promise secrecy: a client that can reach the address learns SPIFFE IDs,
// serial numbers, paths and error texts. There is no TLS and no login; probes
// and scrapers rarely have an identity. Bind it to the loopback interface if
// that is too much.
package health
