//go:build unix

package server

import "golang.org/x/sys/unix"

// descriptors is how many this process may have: Go has raised the limit as far as it goes.
func descriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1000
	}
	return int(min(limit.Cur, 1<<20))
}
