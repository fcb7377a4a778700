// Package config turns the bytes of a configuration file into a checked
// Config, or into diagnostics that a person can act on.
//
// There are two dialects, each read by the library that defines it: a file
// with a block of ours (output, process, hook, health, log) is HCL 2; any other
// is spiffe-helper's, HCL 1. Either may be JSON. Which one a file is, the lexer of
// HCL 1 tells: it stops at the first block of ours. The way through:
//
//	outline  one look at the words, by the dialect's own lexer: bounds, brackets
//	hcl1, hcl2, json
//	         the library's tree, as nodes with ranges
//	schema   one table a block: keys, types, documentation, both ways
//	dropin   the flat keys, translated into outputs, a process, a hook, health
//	check    rules that span keys
//
// It promises that all errors are found in one pass, a syntax error apart from
// what it hides (the outermost items are then parsed one by one); that each one
// names its key and carries line, column and source line; that nothing but
// ${env.NAME} in our own dialect is interpolated; and that what Print writes is read
// back as the same Config. It is pure but for Check and Loader, which read a file,
// and for the environment.
//
// It does not promise that a path exists, that a name belongs to a user or that
// an address answers: the packages that use them find that out.
package config
