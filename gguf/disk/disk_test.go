//go:build linux || darwin

package disk

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if fault.Code(err) != code {
		t.Errorf("got %v [%s], want %s", err, fault.Code(err), code)
	}
	if err != nil && (len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\x1b")) {
		t.Errorf("not a line of at most 300 characters: %q", err)
	}
}

// TestOpen would hang, not fail, if a FIFO or device were opened for reading: hence the deadline.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("file"), "content")
	write(t, in("empty"), "")
	os.Mkdir(in("directory"), 0o777)
	listener, err := net.Listen("unix", in("socket"))
	if err == nil {
		defer listener.Close()
		err = errors.Join(syscall.Mkfifo(in("fifo"), 0o666), os.Symlink("file", in("link")), os.Symlink("nowhere", in("dangling")),
			os.Symlink("loop", in("loop")), os.Symlink("fifo", in("link to fifo")))
	}
	if err != nil {
		t.Fatal(err)
	}
	for path, code := range map[string]string{
		in("file"): "", in("link"): "",
		in("empty"):        "FILE_EMPTY",
		in("directory"):    "NOT_A_REGULAR_FILE",
		in("fifo"):         "NOT_A_REGULAR_FILE",
		in("link to fifo"): "NOT_A_REGULAR_FILE",
		in("socket"):       "NOT_A_REGULAR_FILE",
		"/dev/zero":        "NOT_A_REGULAR_FILE",
		"/dev/random":      "NOT_A_REGULAR_FILE",
		in("dangling"):     "NOT_FOUND",
		in("loop"):         "NOT_FOUND",
		in("missing"):      "NOT_FOUND",
		in("file/below"):   "IO_ERROR", // ENOTDIR
		in("a\x1b[31m\n") + strings.Repeat("x", 250): "NOT_FOUND",
	} {
		t.Run("R34 "+filepath.Base(path), func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				f, err := Open(path)
				if err == nil {
					err = f.Close()
				}
				done <- err
			}()
			select {
			case err := <-done:
				if len(path) > 255 && errors.Is(err, syscall.ENAMETOOLONG) {
					code = "IO_ERROR"
				}
				wantCode(t, err, code)
			case <-time.After(10 * time.Second):
				t.Fatal("hangs")
			}
		})
	}
	wantCode(t, openError("secret", &os.PathError{Op: "open", Path: "secret", Err: syscall.EACCES}), "PERMISSION")
}

func TestReadAt(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), "0123456789")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Name() != path || f.Size() != 10 {
		t.Errorf("%s has %d bytes", f.Name(), f.Size())
	}
	for _, c := range []struct {
		off  int64
		len  int
		want string
		err  error
	}{{0, 10, "0123456789", nil}, {3, 2, "34", nil}, {8, 5, "89", io.EOF}, {10, 1, "", io.EOF}, {99, 1, "", io.EOF}, {0, 0, "", nil}} {
		p := make([]byte, c.len)
		n, err := f.ReadAt(p, c.off)
		if string(p[:n]) != c.want || err != c.err {
			t.Errorf("ReadAt(%d bytes, %d) = %q, %v; want %q, %v", c.len, c.off, p[:n], err, c.want, c.err)
		}
	}
	if err := f.Changed(); err != nil {
		t.Error(err)
	}
	_, err = f.ReadAt(make([]byte, 1), -1)
	wantCode(t, err, "IO_ERROR")
}

func TestChanged(t *testing.T) {
	t.Run("R139 the file changes while it is open", func(t *testing.T) {
		for name, change := range map[string]func(path string) error{
			"truncated": func(path string) error { return os.Truncate(path, 4) },
			"grown":     func(path string) error { return os.Truncate(path, 20) },
			"touched":   func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		} {
			path := write(t, filepath.Join(t.TempDir(), "f"), "0123456789")
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			wantCode(t, f.Changed(), "FILE_CHANGED")
			n, err := f.ReadAt(make([]byte, 10), 0)
			if name == "truncated" {
				wantCode(t, err, "FILE_CHANGED")
			} else if n != 10 || err != nil {
				t.Errorf("%s: read %d bytes, %v", name, n, err)
			}
		}
	})
	path := write(t, filepath.Join(t.TempDir(), "f"), "0123456789")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	os.Rename(write(t, path+"2", "another"), path)
	if err := f.Changed(); err != nil {
		t.Errorf("a file that was replaced by another is still there for who has it open: %v", err)
	}
}

func TestMap(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), strings.Repeat("0123456789", 10_000))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := f.Map()
	if err != nil || !bytes.Equal(data, []byte(read(t, path))) {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if again, _ := f.Map(); &again[0] != &data[0] {
		t.Error("mapped twice")
	}
	t.Run("R35 truncated while mapped", func(t *testing.T) {
		if err := os.Truncate(path, 10); err != nil {
			t.Fatal(err)
		}
		sum := 0
		err := Guard(path, func() error {
			for _, b := range data {
				sum += int(b)
			}
			return nil
		})
		wantCode(t, err, "FILE_CHANGED")
	})
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestGuard(t *testing.T) {
	if err := Guard("f", func() error { return io.ErrNoProgress }); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
	panics := func(f func() error) (r any) {
		defer func() { r = recover() }()
		Guard("f", f)
		return nil
	}
	if r := panics(func() error { panic("ours") }); r != "ours" {
		t.Errorf("a panic became %v", r)
	}
	if r := panics(func() error { var p *File; p.size++; return nil }); r == nil {
		t.Error("a bug was taken for a changed file")
	}
}
