//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wrinklefree/wf/infer/synthetic"
)

// BenchmarkConvertGiB converts a synthetic checkpoint of about 1 GiB (bf16, layers of the 2B shape) in a process of its own, beside cp of the same bytes.
// It reports seconds and peak resident memory; the copy's figures come first, since the page cache is then warm for both.
//
//	go test ./cmd/wf -run '^$' -bench ConvertGiB -benchtime 1x
func BenchmarkConvertGiB(b *testing.B) {
	dir := b.TempDir()
	wf := filepath.Join(dir, "wf")
	if out, err := exec.Command("go", "build", "-o", wf, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	source := filepath.Join(dir, "synthetic")
	shape, _ := synthetic.Find("bitnet-2b")
	shape.Layers, shape.Vocab = 7, 16384
	size, err := writeCheckpoint(b.Context(), source, shape, false)
	if err != nil {
		b.Fatal(err)
	}
	weights := filepath.Join(source, "model.safetensors")
	runs := []struct {
		name string
		args []string
	}{
		{"cp", []string{"cp", weights, filepath.Join(dir, "copy")}},
		{"f16", []string{wf, "-q", "convert", source, "--outtype", "f16", "-o", filepath.Join(dir, "f16.gguf")}},
		{"i2_s", []string{wf, "-q", "convert", source, "--outtype", "i2_s", "-o", filepath.Join(dir, "i2s.gguf")}},
	}
	for _, run := range runs {
		b.Run(run.name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				os.Remove(run.args[len(run.args)-1])
				cmd := exec.Command(run.args[0], run.args[1:]...)
				cmd.Stderr = os.Stderr
				start := time.Now()
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(start).Seconds(), "s")
				b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "MiB-peak")
			}
		})
	}
}
