package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// resized never tells of anything: the system has no signal for it, and the next picture asks for the size anyway.
func resized() (changes <-chan os.Signal, stop func()) { return nil, func() {} }

// obeysEscapes switches a console to escape sequences; older ones than Windows 10's cannot.
func obeysEscapes(f *os.File) bool {
	var mode uint32
	console := windows.Handle(f.Fd())
	return windows.GetConsoleMode(console, &mode) == nil &&
		windows.SetConsoleMode(console, mode|windows.ENABLE_PROCESSED_OUTPUT|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
