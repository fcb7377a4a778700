package main

import "syscall"

// rotateSignal is a signal that never comes: Windows has none to spare.
const rotateSignal = syscall.Signal(-1)
