// Package disk is how wf touches files: it opens only regular files, maps them, and replaces output whole or not at all.
//
// Reading. What a user names may be a FIFO that nobody writes to, a device without an end, a directory, or a file that is truncated
// while it is mapped. Open, Changed and Guard turn each of these into an error, instead of a hang or a SIGBUS.
//
// Writing. Output writes DIR/.NAME.wf-tmp under a lock, and Commit makes it DIR/NAME in the order that survives a crash at any point:
//
//	write, fsync(file), close, rename(temporary, NAME), fsync(DIR)
//
// A large file is handed to the disk while it is written, so that fsync finds little to do. Before the rename the old file is untouched, after
// it the new one is complete. The temporary name depends on NAME alone, so what a killed run left behind is found and taken over by the next.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Codes of the errors of this package.
const (
	notFound     = "NOT_FOUND"
	permission   = "PERMISSION"
	notRegular   = "NOT_A_REGULAR_FILE"
	fileEmpty    = "FILE_EMPTY"
	fileChanged  = "FILE_CHANGED"
	ioError      = "IO_ERROR"
	noSpace      = "NO_SPACE"
	locked       = "LOCKED"
	outputDir    = "OUTPUT_DIR"
	outputIn     = "OUTPUT_IS_INPUT"
	outputExists = "OUTPUT_EXISTS"
	outputKind   = "OUTPUT_NOT_REGULAR"
)

// File is an open regular file that remembers the size and modification time it had when it was opened.
type File struct {
	f       *os.File
	name    string
	size    int64
	modTime time.Time
	mapped  []byte
}

// Open opens a regular file for reading; symbolic links to one are followed. It returns at once whatever the path is.
//
// Codes: NOT_FOUND, PERMISSION, NOT_A_REGULAR_FILE (directory, FIFO, device, socket), FILE_EMPTY, IO_ERROR.
func Open(path string) (*File, error) {
	info, err := os.Stat(path) // before opening: to open a device can be an action
	if err != nil {
		return nil, openError(path, err)
	}
	if err := readable(path, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0) // it may have become a FIFO meanwhile
	if err != nil {
		return nil, openError(path, err)
	}
	if info, err = f.Stat(); err == nil {
		err = readable(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{f: f, name: path, size: info.Size(), modTime: info.ModTime()}, nil
}

func readable(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fault.New(notRegular, "%s: is %s, not a regular file; name a file", fault.Path(path), kind(info.Mode()))
	}
	if info.Size() == 0 {
		return fault.New(fileEmpty, "%s: the file is empty (0 bytes); a copy or download may have failed", fault.Path(path))
	}
	return nil
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(notFound, "%s: %w", fault.Path(path), cause(err))
	case errors.Is(err, syscall.ELOOP):
		return fault.New(notFound, "%s: the symbolic links lead in a circle: %w", fault.Path(path), cause(err))
	case errors.Is(err, fs.ErrPermission):
		return fault.New(permission, "%s: %w; check the file's owner and mode", fault.Path(path), cause(err))
	}
	return fault.New(ioError, "%s: %w", fault.Path(path), cause(err))
}

// Name returns the path given to Open.
func (f *File) Name() string { return f.name }

// Size returns the size in bytes when the file was opened.
func (f *File) Size() int64 { return f.size }

// ReadAt implements io.ReaderAt within the size that the file had when it was opened: io.EOF only there. A file that ends earlier by now is
// FILE_CHANGED, a failing disk IO_ERROR.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	var end error
	if left := f.size - off; off >= 0 && int64(len(p)) > left {
		p, end = p[:max(left, 0)], io.EOF
	}
	n, err := f.f.ReadAt(p, off)
	switch {
	case n == len(p):
		return n, end
	case err == io.EOF:
		return n, fault.New(fileChanged, "%s: the file ends at byte %d, but had %d bytes when it was opened; run again when nothing writes to it",
			fault.Path(f.name), off+int64(n), f.size)
	}
	return n, fault.New(ioError, "%s: reading %d bytes at %d: %w", fault.Path(f.name), len(p), off, cause(err))
}

// Changed returns a FILE_CHANGED error if the size or the modification time is not what it was when the file was opened.
func (f *File) Changed() error {
	info, err := f.f.Stat()
	if err != nil {
		return fault.New(ioError, "%s: %w", fault.Path(f.name), cause(err))
	}
	if info.Size() != f.size || !info.ModTime().Equal(f.modTime) {
		return fault.New(fileChanged, "%s: the file changed while it was in use (%d bytes, now %d); run again when nothing writes to it",
			fault.Path(f.name), f.size, info.Size())
	}
	return nil
}

// Map returns the whole file, read-only, until Close: a memory map on Unix, a copy in memory elsewhere. Who reads a map must do so under
// Guard.
func (f *File) Map() ([]byte, error) {
	if f.mapped == nil {
		data, err := mapFile(f)
		if err != nil {
			return nil, err
		}
		f.mapped = data
	}
	return f.mapped, nil
}

// Release lets the system take back the memory behind size bytes of the map from offset on. They stay readable: that reads the file again.
func (f *File) Release(offset, size uint64) {
	page := uint64(os.Getpagesize())
	lo, hi := (offset+page-1)/page*page, (offset+size)/page*page
	if lo < hi && hi <= uint64(len(f.mapped)) {
		release(f.mapped[lo:hi])
	}
}

// Close releases the map and the file.
func (f *File) Close() error {
	var err error
	if f.mapped != nil {
		err = unmap(f.mapped)
		f.mapped = nil
	}
	return errors.Join(err, f.f.Close())
}

// kind names what a file is, with an article.
func kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a regular file"
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// cause drops the operation and the path that package os puts before an error: our own sentence names them.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
