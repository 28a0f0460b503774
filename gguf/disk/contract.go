// Package disk is how wf touches files: it opens only regular files, maps them, and replaces output whole or not at all.
package disk

import (
	"context"
	"os"
)

// Open opens a regular file for reading. A directory, FIFO, device or socket is NOT_A_REGULAR_FILE at once (it never blocks on a FIFO), an
// empty file FILE_EMPTY; a missing one is the os error (code NOT_FOUND), permission PERMISSION. Symlinks to regular files are followed.
func Open(path string) (*File, error) { panic("contract") }

// File is an open regular file that remembers its size and modification time.
type File struct{}

func (f *File) Name() string                            { panic("contract") }
func (f *File) Size() int64                             { panic("contract") }
func (f *File) ReadAt(p []byte, off int64) (int, error) { panic("contract") } // EIO: code IO_ERROR; short because the file shrank: FILE_CHANGED
func (f *File) Changed() error                          { panic("contract") } // FILE_CHANGED if size or mtime differ from when it was opened
func (f *File) Close() error                            { panic("contract") }

// Map maps the whole file read-only (Unix; elsewhere it reads it). Unmapped by Close.
func (f *File) Map() ([]byte, error) { panic("contract") }

// Guard runs f and turns a memory fault on a mapped file that shrank (SIGBUS) into a FILE_CHANGED error.
func Guard(path string, f func() error) error { panic("contract") }

// Output is a file that appears complete or not at all: written to a temporary file in the destination's directory under a lock, synced,
// renamed. It implements gguf.WriterAt.
type Output struct{}

// Create checks everything that can be checked before any work: the directory exists and is writable (code OUTPUT_DIR), the path is not one of
// inputs by any name (OUTPUT_IS_INPUT; same device and inode), nothing is there (OUTPUT_EXISTS) unless force, what is there is a regular
// file (OUTPUT_NOT_REGULAR), need bytes are free (NO_SPACE with need and available), no other writer (LOCKED). A stale temporary file of a
// killed run is removed.
func Create(path string, o CreateOptions) (*Output, error) { panic("contract") }

type CreateOptions struct {
	Force  bool
	Need   uint64   // bytes to be written
	Inputs []string // paths that must not be overwritten
}

func (o *Output) Write(p []byte) (int, error)              { panic("contract") } // NO_SPACE, IO_ERROR ...; SIGXFSZ does not kill
func (o *Output) WriteAt(p []byte, off int64) (int, error) { panic("contract") }
func (o *Output) ReadAt(p []byte, off int64) (int, error)  { panic("contract") } // for verification before Commit

// Commit syncs, renames over the destination and syncs the directory. Abort removes the temporary file; after Commit it does nothing, so it
// can be deferred.
func (o *Output) Commit(ctx context.Context) error { panic("contract") }
func (o *Output) Abort()                           { panic("contract") }

var _ = os.ErrNotExist
