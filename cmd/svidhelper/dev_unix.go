//go:build unix

package main

import "syscall"

// rotateSignal makes dev rotate.
const rotateSignal = syscall.SIGUSR1
