//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// resized tells of every change of a terminal's size, until stop.
func resized() (changes <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}

// obeysEscapes reports whether a terminal moves its cursor as told.
func obeysEscapes(*os.File) bool { return true }
