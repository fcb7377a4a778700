// Package writer puts files in one directory, all of them at once. It knows no
// SPIFFE: a File is a name, bytes and rights.
//
// A Dir is an open directory; each Publish says which files it holds from now on.
//
// What it promises, in symlink mode, which is the default on Unix:
//
//   - No reader ever sees a partial, an empty or a missing file.
//   - At every instant, a SIGKILL included, the visible names lead to one whole
//     set: the old one or the new one. A publish that fails leaves the old set
//     and nothing else.
//   - A private key or token is readable by nobody but its configured owner and
//     group, from its first byte and under any umask.
//   - No name and no planted symbolic link leads a write out of the directory.
//   - What did not change is not written again.
//
// In rename mode each file is whole at every instant, but a set of several
// files is not: a reader can find a new certificate beside an old key for the
// time of a few renames. In in-place mode a reader can catch a partial file.
// In both, a set that a crash cut short is completed by the next Open.
//
// What it does not promise:
//
//   - A reader that opens certificate and key by their visible names does so in
//     two steps, and a publish can come between them. Three remedies: one file
//     that holds both (combined); resolve "..data" once and open both below
//     what it leads to; or compare the pair and read again. Whoever loads on a
//     signal or a restart after the publish is not affected.
//   - A set survives a power cut as far as the file system keeps what fsync
//     promises. Network file systems, and fsync = false, promise less.
//   - The previous generation stays for one second, so that whoever resolved it
//     finishes. A reader that takes longer finds its files gone.
//   - A file system that keeps no owners or modes keeps no keys from anybody who
//     sees it. A warning at the start says so.
//   - Whoever may write in the directory may also replace what is in it. That is
//     noticed and repaired, not prevented.
//
// In the directory, "..data", "..lock", "..names", "..commit" and the numbered
// "..gen-" and "..temp-" names belong to this package, and so does what is below
// them. Whatever else is there and is not published is left alone; so is a
// "..data" that another program publishes through, as a Kubernetes volume does.
package writer
