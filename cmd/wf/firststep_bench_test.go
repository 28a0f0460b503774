//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/disk"
)

// BenchmarkFirstStep runs a process that loads a file of the 2B shape, which the page cache holds, computes the logits of one token and ends. It
// reports the seconds from exec to the end, so to the first step at most, and the resident memory at its highest beside the file's size; a cache of one
// position is nothing.
//
//	go test ./cmd/wf -run '^$' -bench FirstStep -benchtime 5x
func BenchmarkFirstStep(b *testing.B) {
	dir := b.TempDir()
	wf, model := filepath.Join(dir, "wf"), filepath.Join(dir, "2b.gguf")
	if out, err := exec.Command("go", "build", "-o", wf, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	file, err := new(bench).syntheticFile("bitnet-2b")
	if err != nil {
		b.Fatal(err)
	}
	if err := file.Write(b.Context(), model, disk.CreateOptions{}, nil); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(model)
	if err != nil {
		b.Fatal(err)
	}
	run := func() (seconds, resident float64) {
		cmd := exec.Command(wf, "-q", "logits", "-m", model, "--token-ids", "1", "--force", "-o", filepath.Join(dir, "logits"))
		cmd.Stderr = os.Stderr
		start := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start).Seconds(), float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024
	}
	run() // the file into the page cache
	var seconds []float64
	highest := 0.0
	for b.Loop() {
		s, r := run()
		seconds, highest = append(seconds, s), max(highest, r)
	}
	b.ReportMetric(median(seconds), "s-from-exec")
	b.ReportMetric(highest/(1<<20), "MiB-resident")
	b.ReportMetric(highest/float64(info.Size()), "of-file")
}
