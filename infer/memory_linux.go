package infer

import (
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// allocate asks for zero bytes outside of Go's heap, in large pages: a pass reads all of them, and the processor looks up each page it comes to.
func allocate(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	unix.Madvise(memory, unix.MADV_HUGEPAGE) // only advice
	return memory, nil
}

func free(memory []byte) error {
	if memory == nil {
		return nil
	}
	return unix.Munmap(memory)
}

// availableMemory is what can be allocated without swapping or being killed: the kernel's own estimate, or what is left under the tightest
// memory limit of this process's cgroup and those above it (version 2; proc(5), Documentation/admin-guide/cgroup-v2.rst).
func availableMemory() uint64 {
	available := uint64(math.MaxUint64)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if kib, ok := field(string(text), "MemAvailable:"); ok {
			available = kib * 1024
		}
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return available
	}
	for line := range strings.Lines(string(text)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for ; ok && path.IsAbs(group); group = path.Dir(group) {
			available = min(available, cgroupLeft(path.Join("/sys/fs/cgroup", group)))
			if group == "/" {
				break
			}
		}
	}
	return available
}

// cgroupLeft is what one group may still use; pages of files that it could drop count as free.
func cgroupLeft(dir string) uint64 {
	limit, ok := number(path.Join(dir, "memory.max")) // "max" is no number: no limit
	used, known := number(path.Join(dir, "memory.current"))
	if !ok || !known {
		return math.MaxUint64
	}
	if stat, err := os.ReadFile(path.Join(dir, "memory.stat")); err == nil {
		for _, name := range []string{"inactive_file", "active_file"} {
			pages, _ := field(string(stat), name)
			used -= min(used, pages)
		}
	}
	return limit - min(limit, used)
}

func number(file string) (uint64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// field finds the number behind a name in lines of "name number ...".
func field(text, name string) (uint64, bool) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == name {
			n, err := strconv.ParseUint(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
