package convert

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
)

// helperEnv makes the test binary convert instead: checkpoint, output and a sign of life per step, on stdout.
const helperEnv = "WF_CONVERT_HELPER"

func TestMain(m *testing.M) {
	if job := os.Getenv(helperEnv); job != "" {
		os.Exit(helper(job))
	}
	os.Exit(m.Run())
}

// helper converts as cmd/wf does: signals end the context.
func helper(job string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path, out, _ := strings.Cut(job, "\n")
	fmt.Println("started")
	_, err := Run(ctx, Options{Path: path, Out: out, Force: true, Version: "test", Progress: func(done, total int64) { fmt.Println(done, total) }})
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return 130
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// disturb runs the helper and sends it a signal behind its n-th sign of life. It returns the exit status and whether the signal was sent.
func disturb(t *testing.T, path, out string, sig os.Signal, n int) (status int, sent bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+path+"\n"+out)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var at time.Time
	for lines := bufio.NewScanner(stdout); lines.Scan(); n-- {
		if n == 0 {
			at, sent = time.Now(), cmd.Process.Signal(sig) == nil
		}
	}
	cmd.Wait()
	if took := time.Since(at); sent && took > slowly(time.Second) {
		t.Errorf("%v: the process lived for %v", sig, took)
	}
	return cmd.ProcessState.ExitCode(), sent
}

// snapshot returns the bytes of every file of a folder.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func requireSnapshot(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := snapshot(t, dir)
	for name := range got {
		if want[name] != got[name] {
			t.Errorf("%s was changed or left behind", name)
		}
	}
	if len(got) < len(want) {
		t.Errorf("%d files of %d are left", len(got), len(want))
	}
}

// moments is how often a test disturbs a run.
const moments = 100

func TestSignals(t *testing.T) {
	path := newModel().write(t)
	inputs := snapshot(t, path)
	dir := t.TempDir()
	out := filepath.Join(dir, "out.gguf")
	convertDir(t, path, Options{Out: out})
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	t.Run("R135 SIGINT and SIGTERM", func(t *testing.T) {
		interrupted := 0
		for i := range moments {
			put(t, out, []byte("the old file"))
			status, sent := disturb(t, path, out, []os.Signal{os.Interrupt, syscall.SIGTERM}[i%2], rng.IntN(30))
			switch {
			case status == 130:
				interrupted++
				requireSnapshot(t, dir, map[string]string{"out.gguf": "the old file"})
			case status == 0: // it was done before the signal came
				requireSnapshot(t, dir, map[string]string{"out.gguf": string(want)})
			default:
				t.Fatalf("exit status %d, sent %v", status, sent)
			}
		}
		if interrupted < moments/4 {
			t.Errorf("only %d of %d runs were interrupted", interrupted, moments)
		}
	})
	t.Run("R136 SIGKILL", func(t *testing.T) {
		killed := 0
		for i := range moments {
			put(t, out, []byte("the old file"))
			status, _ := disturb(t, path, out, os.Kill, rng.IntN(30))
			now, err := os.ReadFile(out)
			if err != nil || !bytes.Equal(now, []byte("the old file")) && !bytes.Equal(now, want) {
				t.Fatalf("the output is neither old nor new: %v", err)
			}
			if status != 0 {
				killed++
			}
			if left := snapshot(t, dir); len(left) > 2 {
				t.Fatalf("%d files after a kill", len(left))
			}
			if i%10 == 9 {
				convertDir(t, path, Options{Out: out, Force: true})
				requireSnapshot(t, dir, map[string]string{"out.gguf": string(want)})
			}
		}
		if killed < moments/4 {
			t.Errorf("only %d of %d runs were killed", killed, moments)
		}
	})
	requireSnapshot(t, path, inputs)
}

// calls is a disk that a test makes fail.
type calls struct {
	disk.System
	writes  int // so far
	failAt  int // the write that fails; 0: none
	free    uint64
	limited bool // free is what there is
	after   func(f *os.File)
}

func (c *calls) Available(dir string) (uint64, bool) {
	if c.limited {
		return c.free, true
	}
	return c.System.Available(dir)
}

func (c *calls) Write(f *os.File, p []byte) (int, error) {
	if c.writes++; c.writes == c.failAt {
		n, _ := c.System.Write(f, p[:len(p)/2])
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	n, err := c.System.Write(f, p)
	if c.after != nil {
		c.after(f)
	}
	return n, err
}

func (c *calls) WriteAt(f *os.File, p []byte, off int64) (int, error) {
	if c.writes++; c.writes == c.failAt {
		return 0, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.EIO}
	}
	return c.System.WriteAt(f, p, off)
}

func TestDisk(t *testing.T) {
	m := newModel()
	path := m.write(t)
	inputs := snapshot(t, path)
	defer requireSnapshot(t, path, inputs)
	// A checkpoint that is refused as soon as its weights are read: what comes before that reads none.
	blank := newModel()
	blank.fill(upProj, 0)
	refused := blank.write(t)

	t.Run("R129 output is input", func(t *testing.T) {
		t.Chdir(path)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(filepath.Join(path, "tokenizer.json"), link); err != nil {
			t.Fatal(err)
		}
		hard := filepath.Join(filepath.Dir(path), "hard")
		if err := os.Link(filepath.Join(path, "model.safetensors"), hard); err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{filepath.Join(path, "model.safetensors"), "model.safetensors", "./config.json", link, hard} {
			_, err := tryConvert(t, path, Options{Out: out, Force: true})
			requireCode(t, err, "OUTPUT_IS_INPUT")
		}
	})
	t.Run("R130 output exists", func(t *testing.T) {
		dir := t.TempDir()
		out := filepath.Join(dir, "out.gguf")
		put(t, out, []byte("the old file"))
		_, err := tryConvert(t, refused, Options{Out: out})
		requireCode(t, err, "OUTPUT_EXISTS", "--force")
		requireSnapshot(t, dir, map[string]string{"out.gguf": "the old file"})
		_, err = tryConvert(t, refused, Options{Out: dir, Force: true})
		requireCode(t, err, "OUTPUT_NOT_REGULAR", "directory")
		convertDir(t, path, Options{Out: out, Force: true, Progress: func(int64, int64) {
			if now, err := os.ReadFile(out); err != nil || string(now) != "the old file" {
				t.Errorf("while converting the old file is %d bytes, %v", len(now), err)
			}
		}})
	})
	t.Run("R131 the directory", func(t *testing.T) {
		_, err := tryConvert(t, refused, Options{Out: filepath.Join(t.TempDir(), "none", "out.gguf")})
		requireCode(t, err, "OUTPUT_DIR", "none")
		_, err = tryConvert(t, refused, Options{Out: filepath.Join(t.TempDir(), "out.gguf")})
		requireCode(t, err, "TENSOR_SUSPICIOUS") // the weights come after
	})
	t.Run("R132 a byte short", func(t *testing.T) {
		size := convertDir(t, path, Options{DryRun: true}).Report.Size
		_, err := tryConvert(t, path, Options{calls: &calls{limited: true, free: size - 1}})
		requireCode(t, err, "NO_SPACE", fmt.Sprint(size), fmt.Sprint(size-1))
		convertDir(t, path, Options{calls: &calls{limited: true, free: size}})
	})
	t.Run("R133 every write fails in turn", func(t *testing.T) {
		count := &calls{}
		convertDir(t, path, Options{calls: count})
		for k := range count.writes {
			dir := t.TempDir()
			out := filepath.Join(dir, "out.gguf")
			put(t, out, []byte("the old file"))
			_, err := tryConvert(t, path, Options{Out: out, Force: true, calls: &calls{failAt: k + 1}})
			if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
				t.Errorf("write %d: %v", k, err)
			}
			requireSnapshot(t, dir, map[string]string{"out.gguf": "the old file"})
		}
	})
	t.Run("R138 two conversions at a time", func(t *testing.T) {
		dir := t.TempDir()
		out := filepath.Join(dir, "out.gguf")
		var once sync.Once
		convertDir(t, path, Options{Out: out, Progress: func(int64, int64) {
			once.Do(func() {
				_, err := Run(context.Background(), Options{Path: path, Out: out})
				requireCode(t, err, "LOCKED")
			})
		}})
		if left := snapshot(t, dir); len(left) != 1 {
			t.Errorf("%d files", len(left))
		}
	})
	t.Run("R139 the checkpoint changes", func(t *testing.T) {
		for name, change := range map[string]func(path string) error{
			"weights are touched": func(path string) error {
				return os.Chtimes(filepath.Join(path, "model.safetensors"), time.Time{}, time.Unix(1, 0))
			},
			"weights are truncated": func(path string) error { return os.Truncate(filepath.Join(path, "model.safetensors"), 300_000) },
			"the tokenizer is edited": func(path string) error {
				return os.WriteFile(filepath.Join(path, "tokenizer.json"), []byte("{}"), 0o644)
			},
		} {
			path := newModel().write(t)
			var once sync.Once
			_, err := tryConvert(t, path, Options{Progress: func(int64, int64) {
				once.Do(func() {
					if err := change(path); err != nil {
						t.Error(err)
					}
				})
			}})
			if err == nil {
				t.Errorf("%s: converted", name)
				continue
			}
			requireCode(t, err, "FILE_CHANGED")
		}
	})
	t.Run("R141 a flipped byte", func(t *testing.T) {
		flip := func(f *os.File) {
			var b [1]byte
			if _, err := f.ReadAt(b[:], 40_000); err != nil {
				t.Error(err)
			}
			b[0] ^= 1
			if _, err := f.WriteAt(b[:], 40_000); err != nil {
				t.Error(err)
			}
		}
		dir := t.TempDir()
		var once sync.Once
		_, err := tryConvert(t, path, Options{Out: filepath.Join(dir, "out.gguf"), calls: &calls{after: func(f *os.File) { once.Do(func() { flip(f) }) }}})
		requireCode(t, err, "WRITE_CORRUPTED")
		requireSnapshot(t, dir, nil)
	})
	t.Run("cancelled before it begins", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		dir := t.TempDir()
		if _, err := Run(ctx, Options{Path: path, Out: filepath.Join(dir, "out.gguf")}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		requireSnapshot(t, dir, nil)
	})
}

// TestChunks: a tensor is never in memory as a whole, and a chunk breaks neither heads nor blocks.
func TestChunks(t *testing.T) {
	for _, c := range []struct {
		plan TensorPlan
		step uint64
	}{
		{TensorPlan{Cols: 2560}, 102},
		{TensorPlan{Cols: 6912, Type: gguf.I2_S}, 37},
		{TensorPlan{Cols: 577, Type: gguf.I2_S}, 384},
		{TensorPlan{Cols: 577, Type: gguf.I2_S, Order: Interleaved, Head: 96}, 384},
		{TensorPlan{Cols: 2048, Order: Interleaved, Head: 192}, 192},
		{TensorPlan{Cols: 1 << 20}, 1},
		{TensorPlan{Cols: 1}, chunk},
	} {
		if step := c.plan.step(); step != c.step {
			t.Errorf("%+v: chunks of %d rows, want %d", c.plan, step, c.step)
		}
	}
}
