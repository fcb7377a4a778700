// Package encode turns what the Workload API said into files: PEM, JSON and
// keystores.
//
// An Output says what a directory holds; an Encoder makes a Set of files out of
// each snapshot. The same snapshot gives the same bytes, salts included. It touches
// nothing, and reads nothing but the clock, where expired authorities are left out,
// and a keystore's password file. Package writer puts the files on disk.
package encode
