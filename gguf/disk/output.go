package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Output is a file that appears complete or not at all. The package doc says how.
type Output struct {
	path, temporary string
	data, lock      *os.File // lock is nil where data itself is the lock
	force           bool
	calls           Calls
	written, sent   int64 // bytes that Write has appended, and how many of them the disk has been given
}

// sendBytes is how much is given to the disk at a time: a large file is then written while the rest is computed, and Commit waits for its end only.
const sendBytes = 32 << 20

// CreateOptions say what an output may cost and what it must not overwrite.
type CreateOptions struct {
	Force  bool     // replace a regular file
	Need   uint64   // bytes that will be written
	Inputs []string // files that must not be overwritten
	Calls  Calls    // nil means System
}

// Calls are the operations of an Output that a disk can fail. A test embeds System and overrides some.
type Calls interface {
	Open(path string) (data, lock *os.File, err error) // the temporary file, empty and locked
	Available(dir string) (free uint64, known bool)    // bytes
	Write(f *os.File, p []byte) (int, error)
	WriteAt(f *os.File, p []byte, off int64) (int, error)
	Sync(f *os.File) error
	Close(f *os.File) error
	Rename(from, to string) error
	SyncDir(dir string) error
}

// System is the operating system's Calls.
type System struct{}

func (System) Open(path string) (data, lock *os.File, err error)    { return openTemporary(path) }
func (System) Available(dir string) (free uint64, known bool)       { return available(dir) }
func (System) Write(f *os.File, p []byte) (int, error)              { return f.Write(p) }
func (System) WriteAt(f *os.File, p []byte, off int64) (int, error) { return f.WriteAt(p, off) }
func (System) Sync(f *os.File) error                                { return f.Sync() }
func (System) Close(f *os.File) error                               { return f.Close() }
func (System) Rename(from, to string) error                         { return os.Rename(from, to) }
func (System) SyncDir(dir string) error                             { return syncDir(dir) }

// errLocked says that another process, or another Output of this one, writes the same destination.
var errLocked = errors.New("another process is writing this file")

// Create makes every check that can be made before any work, and opens the temporary file.
//
// Codes: OUTPUT_IS_INPUT (path is one of the inputs under any name), OUTPUT_NOT_REGULAR (a directory, symbolic link, FIFO or device is
// there), OUTPUT_EXISTS (a file is there, without Force), OUTPUT_DIR (the directory is missing or cannot be written), LOCKED (another
// writer), NO_SPACE (less than Need is free).
func Create(path string, o CreateOptions) (*Output, error) {
	if err := CheckOutput(path, o); err != nil {
		return nil, err
	}
	out := &Output{path: path, temporary: temporaryPath(path), force: o.Force, calls: o.Calls}
	if out.calls == nil {
		out.calls = System{}
	}
	var err error
	out.data, out.lock, err = out.calls.Open(out.temporary)
	switch {
	case errors.Is(err, errLocked):
		return nil, fault.New(locked, "%s: %w; wait for it or choose another name", fault.Path(path), err)
	case outOfSpace(err):
		return nil, out.failed("creating", err)
	case err != nil:
		return nil, fault.New(outputDir, "%s: cannot write in the directory %s: %w", fault.Path(path), fault.Path(filepath.Dir(path)), cause(err))
	}
	if err := out.checkRoom(o.Need); err != nil {
		out.Abort()
		return nil, err
	}
	return out, nil
}

// CheckOutput makes the checks of Create that need nothing to be created, for a dry run.
func CheckOutput(path string, o CreateOptions) error {
	if err := checkDir(path); err != nil {
		return err
	}
	if err := checkInputs(path, o.Inputs); err != nil {
		return err
	}
	return checkReplaceable(path, o.Force)
}

func checkDir(path string) error {
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case err != nil:
		return fault.New(outputDir, "%s: the directory %s: %w", fault.Path(path), fault.Path(dir), cause(err))
	case !info.IsDir():
		return fault.New(outputDir, "%s: %s is %s, not a directory", fault.Path(path), fault.Path(dir), kind(info.Mode()))
	}
	return nil
}

func checkInputs(path string, inputs []string) error {
	there, err := os.Stat(path) // follows links: an input by any name
	if err != nil {
		return nil // nothing is there, or checkReplaceable will say what
	}
	for _, input := range inputs {
		if in, err := os.Stat(input); err == nil && os.SameFile(in, there) {
			return fault.New(outputIn, "%s: is the input %s; choose another output", fault.Path(path), fault.Path(input))
		}
	}
	return nil
}

func checkReplaceable(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault.New(outputDir, "%s: %w", fault.Path(path), cause(err))
	case !info.Mode().IsRegular():
		return fault.New(outputKind, "%s: is %s; the output must be a new or a regular file", fault.Path(path), kind(info.Mode()))
	case !force:
		return fault.New(outputExists, "%s: exists already (%d bytes); pass --force to replace it", fault.Path(path), info.Size())
	}
	return nil
}

func temporaryPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".wf-tmp")
}

func (o *Output) checkRoom(need uint64) error {
	if free, known := o.calls.Available(filepath.Dir(o.path)); known && free < need {
		return fault.New(noSpace, "%s: need %d bytes, but only %d are available in %s", fault.Path(o.path), need, free,
			fault.Path(filepath.Dir(o.path)))
	}
	return nil
}

// Name returns the path that Commit will make.
func (o *Output) Name() string { return o.path }

// Write appends all of p. Codes: NO_SPACE (disk full, quota, file size limit), IO_ERROR.
func (o *Output) Write(p []byte) (int, error) {
	n, err := o.writeAll(p, func(rest []byte, _ int64) (int, error) { return o.calls.Write(o.data, rest) })
	if o.written += int64(n); o.written-o.sent >= sendBytes {
		startWriteback(o.data, o.sent, o.written-o.sent)
		o.sent = o.written
	}
	return n, err
}

// WriteAt overwrites p at an offset; it moves nothing that Write appends. Codes as Write.
func (o *Output) WriteAt(p []byte, off int64) (int, error) {
	return o.writeAll(p, func(rest []byte, done int64) (int, error) { return o.calls.WriteAt(o.data, rest, off+done) })
}

// writeAll continues after short writes and interruptions until p is written or nothing goes on.
func (o *Output) writeAll(p []byte, write func(rest []byte, done int64) (int, error)) (int, error) {
	for done := 0; ; {
		n, err := write(p[done:], int64(done))
		done += n
		switch {
		case err != nil && !errors.Is(err, syscall.EINTR):
			return done, o.failed("writing", err)
		case done == len(p):
			return done, nil
		case n == 0 && err == nil:
			return done, o.failed("writing", io.ErrShortWrite)
		}
	}
}

// ReadAt reads what has been written, to verify it before Commit.
func (o *Output) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.data.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = o.failed("reading back", err)
	}
	return n, err
}

// Commit syncs the file, renames it over the destination and syncs the directory. Unless it succeeds, the destination is what it was
// before; only a failing sync of the directory comes after the rename. A cancelled context ends it before the rename.
//
// Codes: NO_SPACE, IO_ERROR, and those of Create for what has appeared at the destination meanwhile.
func (o *Output) Commit(ctx context.Context) error { return CommitAll(ctx, o) }

// CommitAll is Commit for outputs that belong together: all are synced before the first appears, then they appear in order. If one cannot, those
// before it are removed again, but for what replaced a file.
func CommitAll(ctx context.Context, outputs ...*Output) error {
	for _, o := range outputs {
		if err := o.settle(); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var created []string
	for i, o := range outputs {
		_, absent := os.Lstat(o.path)
		err := o.appear()
		appeared := o.data == nil
		if appeared && absent != nil {
			created = append(created, o.path)
		}
		if err != nil {
			if all := appeared && i == len(outputs)-1; !all {
				for _, path := range created {
					os.Remove(path)
				}
			}
			return err
		}
	}
	return nil
}

// settle makes the data safe.
func (o *Output) settle() error {
	if err := o.calls.Sync(o.data); err != nil {
		return o.failed("syncing", err)
	}
	if err := o.calls.Close(o.data); err != nil {
		return o.failed("closing", err)
	}
	return checkReplaceable(o.path, o.force)
}

// appear renames.
func (o *Output) appear() error {
	if err := o.calls.Rename(o.temporary, o.path); err != nil {
		return o.failed("renaming", err)
	}
	o.release()
	if err := o.calls.SyncDir(filepath.Dir(o.path)); err != nil {
		return fault.New(ioError, "%s: is complete, but may be lost if the machine stops now: syncing its directory: %w",
			fault.Path(o.path), cause(err))
	}
	return nil
}

// Abort removes the temporary file. After Commit it does nothing, so it can be deferred.
func (o *Output) Abort() {
	if o.data == nil {
		return
	}
	if o.lock == nil {
		o.data.Close() // Windows removes no open file
	}
	os.Remove(o.temporary) // while locked: afterwards the name may be another writer's
	o.release()
}

// release gives up the lock, and with it the temporary name.
func (o *Output) release() {
	o.data.Close() // again, after a Close that failed: then nothing else can be done
	if o.lock != nil {
		o.lock.Close()
	}
	o.data, o.lock = nil, nil
}

func (o *Output) failed(doing string, err error) error {
	switch {
	case outOfSpace(err):
		return fault.New(noSpace, "%s: %s: %w; free some space (nothing was replaced)", fault.Path(o.path), doing, cause(err))
	case tooLarge(err):
		return fault.New(noSpace, "%s: %s: %w; raise the limit on file size (ulimit -f)", fault.Path(o.path), doing, cause(err))
	}
	return fault.New(ioError, "%s: %s: %w; nothing was replaced", fault.Path(o.path), doing, cause(err))
}
