//go:build linux

package guarantees

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// hostile are the rooms whose tests feed them what no reader should be given, and which of their tests do.
var hostile = []struct{ room, tests string }{
	{"gguf", "."}, {"convert/checkpoint", "."}, {"convert/sglkernel", "."}, {"convert", "."}, {"quant", "."}, {"infer", "."}, {"infer/tokenizer", "."},
	{"infer/tokenizer/template", "."}, {"infer/server", "."}, {"cmd/wf", "TestR167"},
}

// TestLittleMemory runs every hostile input, those that the fuzzers have found as well, in processes that may have 512 MiB of their own: WF_MEMORY=1, in CI.
//
// The limit is RLIMIT_DATA, which needs no privilege and counts what a process may write to and share with nobody (setrlimit(2)), Go's heap included. A
// cgroup counts pages of files besides, which the kernel drops before it kills. RLIMIT_AS would count the addresses that Go reserves and never uses.
func TestLittleMemory(t *testing.T) {
	if os.Getenv("WF_MEMORY") == "" {
		return
	}
	dir := t.TempDir()
	for _, h := range hostile {
		t.Run("R161 "+h.room, func(t *testing.T) {
			binary := filepath.Join(dir, "test")
			build := exec.Command("go", "test", "-c", "-vet", "off", "-o", binary, "./"+h.room)
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			cmd := exec.Command("sh", "-c", `ulimit -d 524288 && exec "$0" "$@"`, binary, "-test.short", "-test.run", h.tests)
			cmd.Dir, cmd.Env = filepath.Join(root, h.room), append(os.Environ(), "GOMEMLIMIT=400MiB")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %.4000s", err, out)
			}
			usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			t.Logf("%v, at most %d MiB resident", cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), usage.Maxrss>>10)
		})
	}
}
