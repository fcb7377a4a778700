// Package devapi is a SPIFFE Workload API for development and for tests: all
// seven RPCs over gRPC, on a Unix socket or TCP, with throwaway authorities
// that exist only as long as the process.
//
// It promises what a client may expect of a real agent: X.509-SVIDs, JWT-SVIDs
// and WIT-SVIDs that conform to the SPIFFE standards, the security header
// enforced (SPIFFE Workload Endpoint 6), the current state at once on every new
// stream and the newest state after every change, rotation at half of an SVID's
// life.
//
// It attests no caller: each that reaches the socket gets every identity.
// That is why its certificates and its first log line say that they are for
// development only.
//
// Faults are kept apart, in a [Faults] that a test hands over with the Config.
// A server without one cannot misbehave on purpose.
package devapi
