// Package writer puts files in one directory, all of them at once. It knows no
// SPIFFE: a File is a name, bytes and rights.
//
// A Dir is an open directory; each Publish says which files it holds from now on.
//
// What it promises, in symlink mode, which is the default on Unix:
//
//   - No reader ever sees a partial, an empty or a missing file.
//   - At every instant, a SIGKILL or a power cut included, the visible names lead to
//     one whole set: the old one or the new one. A publish that fails before the new
//     set is visible leaves the old one and nothing else.
//   - A private key or token is readable only by its owner and group, from its first
//     byte and under any umask.
//   - No name and no planted symbolic link leads a write out of the directory.
//   - What did not change is not written again.
//   - What is removed is in no generation any more when Publish is back.
//   - Nothing that is published goes because a Dir is opened: not when the owner, the
//     mode or the names are others than before.
//
// In rename mode each file is whole at every instant, but a set of several files is
// not: a reader can find a new certificate beside an old key for the time of a few
// renames. In in-place mode a reader can catch a partial file. In both, a publish
// that was cut short is completed by the next Publish or the next Open.
//
// Several helpers can share a directory: each publishes a set of its own, whose name
// is in its Spec. A helper that wants a file of another running helper is refused.
// What an ended helper left, it takes over.
//
// The owner and the group are those that are configured. Where none are, a file that
// replaces another one keeps that file's, unless other users can write in the
// directory and could have put it there.
//
// What it does not promise:
//
//   - A reader that opens certificate and key by their visible names does so in
//     two steps, and a publish can come between them. Three remedies: one file
//     that holds both (combined); resolve "..data" once and open both below
//     what it leads to; or compare the pair and read again. A process that loads
//     them on a signal or a restart after the publish is not affected.
//   - A set survives a power cut as far as the file system keeps what fsync
//     promises, and renames as a whole. Network file systems, and fsync = false,
//     promise less. The newest set is on the disk a moment after Publish is back;
//     a cut before that brings the one before it back.
//   - A previous generation stays for one second and for seven more publishes at
//     most, so that a reader that resolved it finishes. When something is removed,
//     when the disk is full and at the end it goes at once. A reader that takes
//     longer finds its files gone.
//   - A file system that keeps no owners or modes keeps no keys from any user who
//     sees it. A warning at the start says so.
//   - A user who may write in the directory may also replace what is in it. That is
//     noticed and repaired, not prevented. What is done in directories below is
//     noticed with the next change above, and what is done in the milliseconds of a
//     publish with the next one.
//   - Two helpers that publish the same new name in the same instant may both succeed.
//
// In the directory, "..data", "..lock", "..names", "..commit", "..ask" and the numbered
// "..gen-" and "..temp-" names belong to this package, those of a set with its name
// after a dot, and so does what is below them. Everything else that is there and is
// not published is left alone; so is a "..data" that another program publishes
// through, as a Kubernetes volume does.
package writer
