//go:build !unix

package server

func descriptors() int { return 10000 }
