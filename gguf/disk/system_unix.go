//go:build linux || darwin || freebsd

package disk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

const nonBlocking = unix.O_NONBLOCK

func mapFile(f *File) ([]byte, error) {
	size, ok := checked.Int(uint64(f.size))
	if !ok {
		return nil, fault.New(ioError, "%s: %d bytes cannot be mapped by a 32-bit program", fault.Path(f.name), f.size)
	}
	data, err := unix.Mmap(int(f.f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fault.New(ioError, "%s: cannot map %d bytes: %w", fault.Path(f.name), f.size, err)
	}
	return data, nil
}

func unmap(data []byte) error { return unix.Munmap(data) }

func release(data []byte) { unix.Madvise(data, unix.MADV_DONTNEED) } // only advice: if it fails, the memory stays

// openTemporary opens the temporary file, empty, and locks it. The lock is on an open file of its own: it outlives the close of data that has
// to come before the rename, and ends with the process, however that ends.
func openTemporary(path string) (data, lock *os.File, err error) {
	const flags = os.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK
	for {
		if lock, err = os.OpenFile(path, flags|os.O_CREATE, 0o666); err != nil {
			return nil, nil, err
		}
		ours, err := tryLock(path, lock)
		if err == nil && ours {
			if data, err = os.OpenFile(path, flags|os.O_TRUNC, 0); err == nil {
				return data, lock, nil
			}
		}
		lock.Close()
		if err != nil {
			return nil, nil, err
		}
	}
}

// tryLock locks f and reports whether it is still the file at path. Whoever had the lock before may have renamed or removed the file between
// our open and our lock: then what we hold is their finished output.
func tryLock(path string, f *os.File) (bool, error) {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, errLocked
	case err != nil:
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

// available returns the bytes that an unprivileged user can still write in a directory.
func available(dir string) (uint64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return checked.Mul(uint64(st.Bavail), uint64(st.Bsize))
}

// syncDir makes a rename in a directory durable. Some file systems cannot, and say so with EINVAL or ENOTSUP.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}

func outOfSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
func tooLarge(err error) bool   { return errors.Is(err, unix.EFBIG) }
