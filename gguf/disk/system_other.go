//go:build !(linux || darwin || freebsd)

package disk

import (
	"errors"
	"io/fs"
	"os"

	"github.com/wrinklefree/wf/gguf/fault"
)

const nonBlocking = 0

// mapFile reads the file into memory: the same contract without a map.
func mapFile(f *File) ([]byte, error) {
	data := make([]byte, f.size)
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, fault.New(ioError, "%s: cannot load %d bytes: %w", fault.Path(f.name), f.size, err)
	}
	return data, nil
}

func unmap([]byte) error { return nil }
func release([]byte)     {} // a copy cannot be read again

// openTemporary creates the temporary file. On Windows a file that another process has open cannot be removed, which is the lock.
func openTemporary(path string) (data, lock *os.File, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errLocked
	}
	data, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil, errLocked
	}
	return data, nil, err
}

func available(string) (uint64, bool) { return 0, false } // not known: writing will tell
func syncDir(string) error            { return nil }
func outOfSpace(error) bool           { return false }
func tooLarge(error) bool             { return false }
