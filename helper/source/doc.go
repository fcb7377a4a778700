// Package source turns the streams of the Workload API into snapshots.
//
// It promises that everything in a Snapshot has passed its checks: the private
// key belongs to the leaf, the leaf is unexpired and chains up to the bundle
// beside it, a token names the SPIFFE ID and the audience that were asked for.
// Each SVID, each trust domain's bundle and each key of a JWKS stands alone: one
// that fails a check leaves its own last good one in place, is counted and logged
// with the reason, and the rest of the answer counts. An SVID that was refused is
// asked for again. It promises that parts whose bytes did not change are not
// parsed again and keep their pointers, and that an outage ends nothing: when the
// socket comes back, the source is connected within milliseconds, whatever backoff
// it was in.
//
// No answer makes it take more memory than four times the answer's size: what is
// more than 1,024 SVIDs, 4,096 bundles or 1,024 authorities is not decoded, or
// refused. Parsing ends when its context does.
//
// It does not verify the signature of a JWT-SVID or WIT-SVID: both come from
// the Workload API, which is trusted with the keys as well. It does not decide
// what becomes of published files when an identity is refused or withdrawn: it
// says since when a profile is denied, and which identities a good answer has.
// An answer of which nothing can be used withdraws nothing.
package source
