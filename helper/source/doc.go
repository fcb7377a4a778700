// Package source turns the streams of the Workload API into snapshots.
//
// It promises that everything in a Snapshot has passed its checks: the private
// key belongs to the leaf, the leaf is unexpired and chains up to the bundle
// beside it, a token names the SPIFFE ID and the audience that were asked for.
// An answer that fails a check leaves the last good one in place, is counted
// and logged with the reason, and is asked for again. So does a part of it that
// nothing else depends on, one trust domain's bundle among many; the rest of
// the answer counts. It promises that parts whose bytes did not change are not
// parsed again and keep their pointers, and that an outage ends nothing: when
// the socket comes back, the source is connected within milliseconds, whatever
// backoff it was in.
//
// It does not verify the signature of a JWT-SVID or WIT-SVID: both come from
// the Workload API, which is trusted with the keys as well. It does not decide
// what becomes of published files when an identity is refused; it says since
// when that is so.
package source
