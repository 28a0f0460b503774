//go:build linux || darwin

package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wrinklefree/wf/gguf/fault"
)

// content is what produce writes: three appends, then a patch of the middle.
var content = strings.Repeat("a", 5000) + strings.Repeat("B", 5000) + strings.Repeat("c", 5000)

func produce(ctx context.Context, path string, o CreateOptions) error {
	out, err := Create(path, o)
	if err != nil {
		return err
	}
	defer out.Abort()
	for _, b := range []string{"a", "b", "c"} {
		if _, err := out.Write([]byte(strings.Repeat(b, 5000))); err != nil {
			return err
		}
	}
	if _, err := out.WriteAt([]byte(strings.Repeat("B", 5000)), 5000); err != nil {
		return err
	}
	return out.Commit(ctx)
}

// onlyFiles expects a folder to hold exactly these files.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	out, err := Create(path, CreateOptions{Need: 10})
	if err != nil {
		t.Fatal(err)
	}
	onlyFiles(t, dir, ".out.wf-tmp")
	fmt.Fprint(out, "0123456789")
	out.WriteAt([]byte("xy"), 3)
	fmt.Fprint(out, "ab")
	p := make([]byte, 4)
	if n, err := out.ReadAt(p, 2); err != nil || string(p[:n]) != "2xy5" {
		t.Errorf("read back %q, %v", p, err)
	}
	if err := out.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	out.Abort()
	onlyFiles(t, dir, "out")
	if got := read(t, path); got != "012xy56789ab" {
		t.Errorf("got %q", got)
	}

	out, err = Create(path, CreateOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	out.Abort()
	out.Abort()
	onlyFiles(t, dir, "out")
}

// TestLargeOutput: what is given to the disk early is what is there in the end.
func TestLargeOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	out, err := Create(path, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Abort()
	piece, want := make([]byte, 3<<20), []byte(nil)
	for i := byte(0); len(want) < 2*sendBytes; i++ {
		piece[int(i)<<16] = i
		if _, err := out.Write(piece); err != nil {
			t.Fatal(err)
		}
		want = append(want, piece...)
	}
	if out.WriteAt([]byte{77}, 5); out.sent < sendBytes {
		t.Errorf("%d bytes of %d were given to the disk", out.sent, len(want))
	}
	want[5] = 77
	if err := out.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != string(want) {
		t.Errorf("%d bytes of %d, or others", len(got), len(want))
	}
}

func TestRefusedOutputs(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("input"), "precious")
	write(t, in("old"), "old")
	os.Mkdir(in("directory"), 0o777)
	if err := errors.Join(os.Symlink("input", in("link")), os.Link(in("input"), in("hard link")), os.Symlink("old", in("other link")),
		os.Symlink("nowhere", in("dangling")), syscall.Mkfifo(in("fifo"), 0o666)); err != nil {
		t.Fatal(err)
	}
	refused := func(t *testing.T, path string, force bool, code string) {
		t.Helper()
		before, _ := os.ReadDir(dir)
		_, err := Create(path, CreateOptions{Force: force, Inputs: []string{in("missing"), in("input")}})
		wantCode(t, err, code)
		if after, _ := os.ReadDir(dir); len(after) != len(before) {
			t.Errorf("%d files became %d", len(before), len(after))
		}
	}
	t.Run("R129 output is input", func(t *testing.T) {
		t.Chdir(dir)
		for _, path := range []string{in("input"), "input", "directory/../input", in("link"), in("hard link")} {
			refused(t, path, true, "OUTPUT_IS_INPUT")
			refused(t, path, false, "OUTPUT_IS_INPUT")
		}
		if read(t, in("input")) != "precious" {
			t.Error("the input changed")
		}
	})
	t.Run("R130 something is there", func(t *testing.T) {
		refused(t, in("old"), false, "OUTPUT_EXISTS")
		for _, path := range []string{in("directory"), in("other link"), in("dangling"), in("fifo"), "/dev/null"} {
			refused(t, path, true, "OUTPUT_NOT_REGULAR")
			refused(t, path, false, "OUTPUT_NOT_REGULAR")
		}
	})
	t.Run("R131 the directory", func(t *testing.T) {
		refused(t, in("missing/out"), false, "OUTPUT_DIR")
		refused(t, in("old/out"), false, "OUTPUT_DIR")
		refused(t, in(strings.Repeat("x", 250)), false, "OUTPUT_DIR") // the temporary name is longer
		for _, errno := range []syscall.Errno{syscall.EACCES, syscall.EROFS} {
			_, err := Create(in("out"), CreateOptions{Calls: &faulty{open: errno}})
			wantCode(t, err, "OUTPUT_DIR")
			if err != nil && !strings.Contains(err.Error(), filepath.Base(dir)+":") {
				t.Errorf("%v does not name the directory", err)
			}
		}
	})
	t.Run("R132 no space", func(t *testing.T) {
		for _, o := range []CreateOptions{{Need: 1 << 62}, {Need: 1001, Calls: &faulty{free: 1000}}} {
			_, err := Create(in("out"), o)
			wantCode(t, err, "NO_SPACE")
			if err != nil && !strings.Contains(err.Error(), fmt.Sprint(o.Need)) {
				t.Errorf("%v does not say what is needed", err)
			}
			if _, err := os.Lstat(in(".out.wf-tmp")); err == nil {
				t.Error("the temporary file is left")
			}
		}
		out, err := Create(in("out"), CreateOptions{Need: 1000, Calls: &faulty{free: 1000}})
		if err != nil {
			t.Fatal(err)
		}
		out.Abort()
	})
	t.Run("R138 two writers", func(t *testing.T) {
		out, err := Create(in("old"), CreateOptions{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		defer out.Abort()
		refused(t, in("old"), true, "LOCKED")
		if got := helper(t, "produce", in("old")); !strings.Contains(got, "LOCKED") { // from another process
			t.Errorf("another process got %q", got)
		}
		reader, err := os.Open(in("old"))
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		fmt.Fprint(out, "new")
		if err := out.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 3)
		if reader.Read(p); string(p) != "old" || read(t, in("old")) != "new" {
			t.Errorf("the open file reads %q, the path %q", p, read(t, in("old")))
		}
		out, err = Create(in("old"), CreateOptions{Force: true}) // the lock is free again
		if err != nil {
			t.Fatal(err)
		}
		out.Abort()
	})
}

// faulty is a disk on which one operation fails, or does half of what it should.
type faulty struct {
	System
	open        error
	free        uint64
	failAt      int // the operation of a write that fails, from 1; 0 for none
	fails       error
	short       bool
	interrupted bool

	step   int
	before func(step int) // called before every operation
	log    []string
}

func (f *faulty) next(operation string) error {
	f.step++
	f.log = append(f.log, operation)
	if f.before != nil {
		f.before(f.step)
	}
	if f.step == f.failAt {
		return f.fails
	}
	return nil
}

func (f *faulty) Open(path string) (data, lock *os.File, err error) {
	if f.open != nil {
		return nil, nil, &os.PathError{Op: "open", Path: path, Err: f.open}
	}
	return f.System.Open(path)
}

func (f *faulty) Available(dir string) (uint64, bool) {
	if f.free > 0 {
		return f.free, true
	}
	return f.System.Available(dir)
}

func (f *faulty) part(p []byte) ([]byte, error) {
	if f.interrupted = !f.interrupted && f.short; f.interrupted {
		return nil, syscall.EINTR
	}
	if f.short {
		return p[:(len(p)+1)/2], nil
	}
	return p, nil
}

func (f *faulty) Write(file *os.File, p []byte) (int, error) {
	p, err := f.part(p)
	if err != nil {
		return 0, err
	}
	if err := f.next("write"); err != nil {
		n, _ := file.Write(p[:len(p)/2])
		return n, err
	}
	return file.Write(p)
}

func (f *faulty) WriteAt(file *os.File, p []byte, off int64) (int, error) {
	p, err := f.part(p)
	if err != nil {
		return 0, err
	}
	if err := f.next("write"); err != nil {
		return 0, err
	}
	return file.WriteAt(p, off)
}

func (f *faulty) Sync(file *os.File) error {
	if err := f.next("sync"); err != nil {
		return err
	}
	return file.Sync()
}

func (f *faulty) Close(file *os.File) error {
	if err := f.next("close"); err != nil {
		return err
	}
	return file.Close()
}

func (f *faulty) Rename(from, to string) error {
	if err := f.next("rename"); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (f *faulty) SyncDir(dir string) error {
	if err := f.next("syncdir"); err != nil {
		return err
	}
	return f.System.SyncDir(dir)
}

const operations = 8 // four writes, sync, close, rename, syncdir

func TestFaults(t *testing.T) {
	t.Run("R133 every operation fails in turn", func(t *testing.T) {
		for errno, code := range map[syscall.Errno]string{
			syscall.ENOSPC: "NO_SPACE", syscall.EDQUOT: "NO_SPACE", syscall.EFBIG: "NO_SPACE", syscall.EIO: "IO_ERROR",
		} {
			for at := 1; at < operations; at++ {
				dir := t.TempDir()
				path := write(t, filepath.Join(dir, "out"), "old")
				calls := &faulty{failAt: at, fails: errno}
				wantCode(t, produce(context.Background(), path, CreateOptions{Force: true, Calls: calls}), code)
				if calls.step != at {
					t.Errorf("went on after %v at step %d: %v", errno, at, calls.log)
				}
				if read(t, path) != "old" {
					t.Errorf("%v at step %d: the old file changed", errno, at)
				}
				onlyFiles(t, dir, "out")
			}
		}
	})
	t.Run("R133 the directory does not sync", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "out")
		err := produce(context.Background(), path, CreateOptions{Calls: &faulty{failAt: operations, fails: syscall.EIO}})
		wantCode(t, err, "IO_ERROR") // no success is told, but the file is there, whole
		if read(t, path) != content {
			t.Error("the file is not complete")
		}
		onlyFiles(t, dir, "out")
	})
	t.Run("R133 short writes and EINTR", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "out")
		if err := produce(context.Background(), path, CreateOptions{Calls: &faulty{short: true}}); err != nil || read(t, path) != content {
			t.Errorf("%v", err)
		}
	})
	t.Run("R133 a write that writes nothing", func(t *testing.T) {
		dir := t.TempDir()
		wantCode(t, produce(context.Background(), filepath.Join(dir, "out"), CreateOptions{Calls: nothing{}}), "IO_ERROR")
		onlyFiles(t, dir)
	})
	t.Run("R135 cancelled", func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		calls := &faulty{before: func(step int) {
			if step == 5 { // as late as it can be seen
				cancel()
			}
		}}
		if err := produce(ctx, filepath.Join(dir, "out"), CreateOptions{Calls: calls}); err != context.Canceled {
			t.Error(err)
		}
		onlyFiles(t, dir)
	})
}

type nothing struct{ System }

func (nothing) Write(*os.File, []byte) (int, error) { return 0, nil }

// TestPowerLoss drops at every step what has not been synced, and looks at what the name would then hold.
func TestPowerLoss(t *testing.T) {
	t.Run("R137 power loss", func(t *testing.T) {
		dir := t.TempDir()
		path := write(t, filepath.Join(dir, "out"), "old")
		temporary := temporaryPath(path)
		durable := "" // of the temporary file: what was written before the last sync
		var calls *faulty
		renamed := false
		calls = &faulty{before: func(int) {
			switch operation := calls.log[len(calls.log)-1]; operation {
			case "write":
				if renamed {
					t.Error("written after the rename")
				}
			case "sync":
				durable = read(t, temporary)
			case "rename": // from here on the disk may hold the new name, whenever power fails
				renamed = true
				if durable != content {
					t.Errorf("%d bytes of %d are durable when the rename begins", len(durable), len(content))
				}
			}
			if !renamed && read(t, path) != "old" {
				t.Error("the old file changed before the rename")
			}
		}}
		if err := produce(context.Background(), path, CreateOptions{Force: true, Calls: calls}); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(calls.log), "[write write write write sync close rename syncdir]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestContention lets writers fight for one name: each either is told so or finishes, and the name always holds one writer's whole content.
func TestContention(t *testing.T) {
	t.Run("R138 many writers", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "out")
		var finished [8]int
		var writers sync.WaitGroup
		for id := range finished {
			writers.Go(func() {
				for i := range 60 {
					out, err := Create(path, CreateOptions{Force: true})
					if err != nil {
						if fault.Code(err) != "LOCKED" {
							t.Error(err)
						}
						continue
					}
					out.Write([]byte(strings.Repeat(strconv.Itoa(id), 1000)))
					out.Write([]byte(strings.Repeat(strconv.Itoa(id), 1000)))
					if i%3 > 0 {
						if err := out.Commit(context.Background()); err != nil {
							t.Error(err)
						}
						finished[id]++
						if got := read(t, path); len(got) != 2000 || strings.Count(got, got[:1]) != 2000 {
							t.Errorf("%d bytes, beginning with %.10s", len(got), got)
						}
					}
					out.Abort()
				}
			})
		}
		writers.Wait()
		if finished == [8]int{} {
			t.Error("nobody finished")
		}
		onlyFiles(t, dir, "out")
	})
}

// The following tests need a process of their own: to be killed, or to be limited. It is this test binary again.

func TestMain(m *testing.M) {
	if os.Getenv("WF_DISK_HELPER") != "" {
		help(os.Args[1], os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// help is the other process: it produces path, with its own death or limit at hand, and prints the error's code.
func help(what, path string) {
	var calls faulty
	if step, ok := strings.CutPrefix(what, "kill "); ok {
		at, _ := strconv.Atoi(step)
		calls.before = func(step int) {
			if step == at {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	if what == "limit" {
		limit := unix.Rlimit{Cur: 7000, Max: 7000}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			fmt.Println(err)
			return
		}
	}
	err := produce(context.Background(), path, CreateOptions{Force: true, Calls: &calls})
	fmt.Println("ended", fault.Code(err), err)
}

func helper(t *testing.T, what, path string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], what, path)
	cmd.Env = append(os.Environ(), "WF_DISK_HELPER=1")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func TestProcesses(t *testing.T) {
	t.Run("R134 file size limit", func(t *testing.T) {
		dir := t.TempDir()
		path := write(t, filepath.Join(dir, "out"), "old")
		if got := helper(t, "limit", path); !strings.Contains(got, "ended NO_SPACE") {
			t.Errorf("got %q", got)
		}
		if read(t, path) != "old" {
			t.Error("the old file changed")
		}
		onlyFiles(t, dir, "out")
	})
	t.Run("R136 killed before every operation", func(t *testing.T) {
		for step := 1; step <= operations; step++ {
			dir := t.TempDir()
			path := write(t, filepath.Join(dir, "out"), "old")
			if got := helper(t, fmt.Sprint("kill ", step), path); got != "" {
				t.Errorf("step %d: not killed: %q", step, got)
			}
			if step < operations {
				onlyFiles(t, dir, ".out.wf-tmp", "out")
				if read(t, path) != "old" {
					t.Errorf("step %d: the old file changed", step)
				}
			} else if read(t, path) != content {
				t.Error("killed after the rename: the new file is not complete")
			}
			if err := produce(context.Background(), path, CreateOptions{Force: true}); err != nil || read(t, path) != content {
				t.Errorf("step %d: run again: %v", step, err)
			}
			onlyFiles(t, dir, "out")
		}
	})
	t.Run("R136 killed at random", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
		dir := t.TempDir()
		path := write(t, filepath.Join(dir, "out"), "old")
		for range 20 {
			cmd := exec.Command(os.Args[0], "produce", path)
			cmd.Env = append(os.Environ(), "WF_DISK_HELPER=1")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for range rng.IntN(200) { // as long as so many looks at the folder take
				os.ReadDir(dir)
			}
			cmd.Process.Kill()
			cmd.Wait()
			if got := read(t, path); got != "old" && got != content {
				t.Fatalf("the file has %d bytes of one of the two", len(got))
			}
		}
		if err := produce(context.Background(), path, CreateOptions{Force: true}); err != nil || read(t, path) != content {
			t.Error(err)
		}
		onlyFiles(t, dir, "out")
	})
}
