package quant

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// File is a GGUF file that has been decided and not yet written. Writing decides nothing: the same File gives the same bytes.
type File struct {
	Metadata *gguf.Metadata // all keys but those that Plan sets; not changed
	Type     gguf.Type      // of the projections, for general.file_type
	Tensors  []Tensor       // in file order
	Version  string         // wf.version
	Options  string         // wf.options: what changes bytes, in a canonical order
	Sources  []string       // paths of all files that are read
	// Scan writes the whole of source i to w, which computes its sum: for a reader that checks what it reads on the way. nil: they are read.
	Scan    func(i int, w io.Writer) error
	Changed func() error // nil, or asked when all is written: an error if an input is no longer what was opened
}

// Tensor is one tensor of a File. Fill writes exactly the bytes that Type needs for Dims (ne order), in any number of writes. It is called
// once, and not at the same time as another.
type Tensor struct {
	Name string
	Type gguf.Type
	Dims []uint64
	Fill func(w io.Writer) error
}

// Plan returns the metadata as it will be written, with the sums of the receipt still zero, the tensor infos, and the size of the file in
// bytes. It sets general.file_type, general.quantization_version, wf.i2_s.layout and the receipt's keys. Sources are opened for their sizes.
func (f *File) Plan() (md *gguf.Metadata, infos []gguf.TensorInfo, size uint64, err error) {
	s, err := openSources(f.Sources)
	if err != nil {
		return nil, nil, 0, err
	}
	defer s.close()
	return f.plan(s)
}

func (f *File) plan(s sources) (md *gguf.Metadata, infos []gguf.TensorInfo, size uint64, err error) {
	md = f.Metadata.Clone()
	infos = make([]gguf.TensorInfo, len(f.Tensors))
	for i, t := range f.Tensors {
		infos[i] = gguf.TensorInfo{Name: t.Name, Type: t.Type, Dims: t.Dims}
	}
	has := func(match func(gguf.Type) bool) bool {
		return slices.ContainsFunc(f.Tensors, func(t Tensor) bool { return match(t.Type) })
	}
	md.Set(names.FileType, f.Type.FileType())
	if has(func(t gguf.Type) bool { return !isFloat(t) }) {
		md.Set(names.QuantizationVersion, uint32(2))
	}
	if has(func(t gguf.Type) bool { return t == gguf.I2_S }) {
		md.Set(names.I2SLayout, uint32(Layout128))
	} else {
		md.Delete(names.I2SLayout)
	}
	md.Set(names.Version, f.Version)
	md.Set(names.Options, f.Options)
	md.Set(names.SourceFiles, s.entries(nil))
	md.Set(names.TensorHashes, make([]uint64, len(infos)))
	infos, size, err = gguf.Plan(md, infos)
	return md, infos, size, err
}

// Write writes the file: everything into disk.Output's temporary file, header first, tensors in order, the receipt's sums last, then reads it
// all back and compares, and only then lets it appear at path. After an error or a cancelled context nothing is left.
//
// o.Need is set and the sources are added to o.Inputs. Progress gets bytes of the output, from this goroutine; it may be nil.
//
// Codes: those of disk.Create and disk.Open, FILE_CHANGED, WRITE_CORRUPTED, and whatever Fill returns.
func (f *File) Write(ctx context.Context, path string, o disk.CreateOptions, progress func(done, total int64)) error {
	s, err := openSources(f.Sources)
	if err != nil {
		return err
	}
	defer s.close()
	md, infos, size, err := f.plan(s)
	if err != nil {
		return err
	}
	o.Need, o.Inputs = size, slices.Concat(o.Inputs, f.Sources)
	out, err := disk.Create(path, o)
	if err != nil {
		return err
	}
	defer out.Abort()

	ctx, cancel := context.WithCancelCause(ctx)
	var sums [][sha256.Size]byte
	var reading sync.WaitGroup
	defer reading.Wait() // before the sources are closed
	defer cancel(nil)
	reading.Go(func() { // by now, or soon, the page cache has the bytes: hashing them costs a processor and no disk
		defer func() {
			if r := recover(); r != nil {
				cancel(fmt.Errorf("hashing the sources: panic: %v", r))
			}
		}()
		var err error
		if sums, err = s.hash(ctx, f.Scan); err != nil {
			cancel(err)
		}
	})

	to := &sink{ctx: ctx, out: out, buffered: bufio.NewWriterSize(out, 1<<20), total: int64(size), progress: progress}
	w, err := gguf.NewWriter(to, md, infos)
	if err != nil {
		return err
	}
	for _, t := range f.Tensors {
		if err := fill(w, t); err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(t.Name), err)
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	reading.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	md.Set(names.SourceFiles, s.entries(sums))
	md.Set(names.TensorHashes, w.Hashes())
	for _, key := range []string{names.SourceFiles, names.TensorHashes} {
		value, _ := md.Get(key)
		if err := w.Patch(key, value); err != nil {
			return err
		}
	}
	if err := to.buffered.Flush(); err != nil {
		return err
	}
	if err := verify(ctx, out, int64(size), md, w); err != nil {
		return err
	}
	if err := s.changed(); err != nil {
		return err
	}
	if f.Changed != nil {
		if err := f.Changed(); err != nil {
			return err
		}
	}
	return out.Commit(ctx)
}

func fill(w *gguf.Writer, t Tensor) error {
	if err := t.Fill(w); err != nil {
		return err
	}
	return w.Next()
}

// sink buffers what is written, counts it, and stops when the context ends.
type sink struct {
	ctx         context.Context
	out         *disk.Output
	buffered    *bufio.Writer
	done, total int64
	progress    func(done, total int64)
}

func (s *sink) Write(p []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	n, err := s.buffered.Write(p)
	s.done += int64(n)
	if s.progress != nil {
		s.progress(s.done, s.total)
	}
	return n, err
}

func (s *sink) WriteAt(p []byte, off int64) (int, error) {
	if err := s.buffered.Flush(); err != nil {
		return 0, err
	}
	return s.out.WriteAt(p, off)
}

// verify reads a finished file back: its header must be what md and the infos encode to, its tensors must have the hashes they had on their
// way out, and what is between them must be zero.
func verify(ctx context.Context, r io.ReaderAt, size int64, md *gguf.Metadata, w *gguf.Writer) error {
	corrupted := func(format string, args ...any) error {
		return fault.New("WRITE_CORRUPTED", "what was written reads back different: "+format+"; the disk or the memory is failing", args...)
	}
	var want header
	if _, err := gguf.NewWriter(&want, md, w.Infos()); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, 0); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return corrupted("the header")
	}
	file, err := gguf.Read(r, size)
	if err == nil {
		err = file.DirtyPadding()
	}
	if err != nil {
		return corrupted("%w", err)
	}
	hashes, buffer := w.Hashes(), make([]byte, 1<<20)
	for i := range file.Tensors {
		h, section := xxhash.New(), file.TensorReader(&file.Tensors[i])
		for {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			n, err := section.Read(buffer)
			h.Write(buffer[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		if h.Sum64() != hashes[i] {
			return corrupted("tensor %s", fault.Quote(file.Tensors[i].Name))
		}
	}
	return nil
}

// header takes what a gguf.Writer writes before the first tensor.
type header []byte

func (h *header) Write(p []byte) (int, error) {
	*h = append(*h, p...)
	return len(p), nil
}

func (h *header) WriteAt(p []byte, off int64) (int, error) { return copy((*h)[off:], p), nil }
