// Package config turns the bytes of a configuration file into a checked
// Config, or into diagnostics that a person can act on.
//
// Two dialects share one file: the native one, made of blocks, and the flat
// keys of spiffe-helper, whose quirks of HCL 1 are kept. JSON is read when the
// first character is a brace. The way through:
//
//	scan     bytes -> tokens, by the lexical rules of HCL 1
//	layout   tokens -> text of the same length that hcl/v2 accepts
//	tree     hcl/v2 judges the structure; values are read from the original bytes
//	schema   one table a block: keys, types, documentation, both ways
//	dropin   the flat keys, translated into outputs, a process, a hook, health
//	check    rules that span keys
//
// It promises that all errors are found in one pass, that each one names its
// key and carries line, column and source line, that a value is what stands in
// the file (nothing is interpolated, nothing comes from the environment), and
// that what Print writes is read back as the same Config. It is pure but for
// Load, which reads one file.
//
// It does not promise that a path exists, that a name belongs to a user or that
// an address answers: that is found out by whoever uses them.
package config
