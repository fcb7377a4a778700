// Package fswatch hears what happens in directories: on Linux of inotify, and
// elsewhere of fsnotify, whose events it hands over on Linux too. It is for
// directories only, since a file that is replaced is a name in one. A helper has
// one for each thing that it watches, and is one of many on a machine; so a
// watcher costs a few kilobytes and one goroutine.
//
// Events are hints. Some are lost when too many come at once, which is an error
// on Errors; and a directory that is moved is not watched any more.
package fswatch

import "github.com/fsnotify/fsnotify"

// An Event is what happened to a name.
type Event = fsnotify.Event
