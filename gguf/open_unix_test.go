//go:build unix

package gguf

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wrinklefree/wf/gguf/fault"
)

func TestOpenOnlyRegularFiles(t *testing.T) {
	dir, err := os.MkdirTemp("", "wf") // short: a socket's path has at most 104 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(unix.Mkfifo(at("fifo"), 0o666))
	socket, err := net.Listen("unix", at("socket"))
	check(err)
	defer socket.Close()
	check(os.WriteFile(at("empty"), nil, 0o666))
	check(os.Symlink("nowhere", at("dangling")))
	check(os.Symlink("loop", at("loop")))
	check(os.WriteFile(at("real"), everything(t), 0o666))
	check(os.Symlink("real", at("link")))

	for _, c := range []struct{ name, path, code string }{
		{"R34 directory", dir, "NOT_A_REGULAR_FILE"},
		{"R34 FIFO", at("fifo"), "NOT_A_REGULAR_FILE"},
		{"R34 zero device", "/dev/zero", "NOT_A_REGULAR_FILE"},
		{"R34 random device", "/dev/random", "NOT_A_REGULAR_FILE"},
		{"R34 socket", at("socket"), "NOT_A_REGULAR_FILE"},
		{"R34 empty file", at("empty"), "FILE_EMPTY"},
		{"R34 dangling symlink", at("dangling"), "NOT_FOUND"},
		{"R34 symlink loop", at("loop"), "NOT_FOUND"},
		{"R34 symlink to a regular file", at("link"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, open := range []func(string) (*File, error){Open, Map} {
				start := time.Now()
				f, err := open(c.path)
				if took := time.Since(start); took > time.Duration(2*slowness()*float64(time.Second)) {
					t.Errorf("took %v", took)
				}
				if fault.Code(err) != c.code {
					t.Errorf("[%s] %v, want %s", fault.Code(err), err, c.code)
				}
				if err == nil {
					f.Close()
				}
			}
		})
	}
}
