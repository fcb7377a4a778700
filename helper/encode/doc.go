// Package encode turns what the Workload API said into files: PEM, JSON and
// keystores.
//
// An Output says what a directory holds; an Encoder makes a Set of files out of
// each snapshot. The same snapshot gives the same bytes, salts included. It touches
// nothing. It reads the clock, where expired authorities are left out or a sequence of
// SPIFFE bundles begins; the SPIFFE bundle that was published before; and the files of
// passwords. Package writer puts the files on disk.
package encode
