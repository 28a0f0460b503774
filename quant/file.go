package quant

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"slices"

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
	Split    uint64         // a model that takes more bytes becomes files of no more, named as gguf.SplitName does; 0: one file, however large
	Sums     *Sums          // of Sources, where hashing has begun, with its context for Write and Compare; nil: they do it
	Changed  func() error   // nil, or asked when all is written: an error if an input is no longer what was opened
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

// Parts says which files Write will make for a path, the first first. Sources are opened for their sizes.
func (f *File) Parts(path string) ([]FilePart, error) {
	s, err := openSources(f.Sources)
	if err != nil {
		return nil, err
	}
	defer s.close()
	md, infos, _, err := f.plan(s)
	if err != nil {
		return nil, err
	}
	return f.parts(path, md, infos)
}

// FilePart is one file of the output.
type FilePart struct {
	Path string `json:"path"`
	Size uint64 `json:"size"` // bytes

	gguf.Part `json:"-"`
}

func (f *File) parts(path string, md *gguf.Metadata, infos []gguf.TensorInfo) ([]FilePart, error) {
	most := f.Split
	if most == 0 {
		most = math.MaxUint64
	}
	planned, err := gguf.Split(md, infos, most)
	if err != nil {
		return nil, err
	}
	parts := make([]FilePart, len(planned))
	for i, p := range planned {
		parts[i] = FilePart{path, p.Size, p}
		if len(planned) > 1 {
			parts[i].Path = gguf.SplitName(path, i, len(planned))
		}
	}
	return parts, nil
}

// CheckOutputs makes the checks that can be made before a weight is read; a dry run creates nothing.
func CheckOutputs(parts []FilePart, o disk.CreateOptions, dry bool) error {
	outputs, err := createAll(parts, o, dry)
	abortAll(outputs)
	return err
}

func createAll(parts []FilePart, o disk.CreateOptions, dry bool) (outputs []*disk.Output, err error) {
	total := uint64(0)
	for _, p := range parts {
		total += p.Size
	}
	for i, p := range parts {
		if o.Need = p.Size; i == 0 {
			o.Need = total
		}
		if dry {
			if err := disk.CheckOutput(p.Path, o); err != nil {
				return nil, err
			}
			continue
		}
		out, err := disk.Create(p.Path, o)
		if err != nil {
			return outputs, err
		}
		outputs = append(outputs, out)
	}
	return outputs, nil
}

func abortAll(outputs []*disk.Output) {
	for _, out := range outputs {
		out.Abort()
	}
}

// Write writes the file, or the files of a split model: everything into temporary files of disk.Output, headers first, tensors in order, the
// receipt's sums last, then reads all back and compares, and only then lets them appear, the first last. After an error or a cancelled
// context nothing is left.
//
// o.Need is set and the sources are added to o.Inputs. Progress gets bytes of the output, from this goroutine; it may be nil.
//
// Codes: those of disk.Create and disk.Open, FILE_CHANGED, WRITE_CORRUPTED, GGUF_SPLIT, and whatever Fill returns.
func (f *File) Write(ctx context.Context, path string, o disk.CreateOptions, progress func(done, total int64)) error {
	s, err := openSources(f.Sources)
	if err != nil {
		return err
	}
	defer s.close()
	md, infos, _, err := f.plan(s)
	if err != nil {
		return err
	}
	parts, err := f.parts(path, md, infos)
	if err != nil {
		return err
	}
	o.Inputs = slices.Concat(o.Inputs, f.Sources)
	outputs, err := createAll(parts, o, false)
	defer abortAll(outputs)
	if err != nil {
		return err
	}

	sums := f.Sums
	if sums == nil {
		sums, ctx = HashSources(ctx, len(s), s.scan)
		defer sums.Stop() // before the sources are closed
	}

	count := &counter{ctx: ctx, progress: progress}
	for _, p := range parts {
		count.total += int64(p.Size)
	}
	var written []*part
	var hashes []uint64
	tensors := f.Tensors
	for i := range parts {
		p, err := newPart(&parts[i], outputs[i], count)
		if err == nil {
			err = p.fill(tensors[:len(parts[i].Infos)])
		}
		if err != nil {
			return err
		}
		tensors = tensors[len(parts[i].Infos):]
		written, hashes = append(written, p), append(hashes, p.w.Hashes()...)
	}
	all, err := sums.Wait()
	if err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	first := written[0]
	first.plan.Metadata.Set(names.SourceFiles, s.entries(all))
	first.plan.Metadata.Set(names.TensorHashes, hashes)
	for _, key := range []string{names.SourceFiles, names.TensorHashes} {
		value, _ := first.plan.Metadata.Get(key)
		if err := first.w.Patch(key, value); err != nil {
			return err
		}
	}
	for _, p := range written {
		if err := p.verify(ctx); err != nil {
			return err
		}
	}
	if err := s.changed(); err != nil {
		return err
	}
	if f.Changed != nil {
		if err := f.Changed(); err != nil {
			return err
		}
	}
	return disk.CommitAll(ctx, append(outputs[1:], outputs[0])...)
}

// counter counts bytes of all parts on their way out, and stops when the context ends.
type counter struct {
	ctx         context.Context
	done, total int64
	progress    func(done, total int64)
}

// writeBytes is how much is written at a time, at least. Chunks of weights are larger in most types, and not copied.
const writeBytes = 256 << 10

// part is one file while it is written.
type part struct {
	plan *FilePart
	w    *gguf.Writer
	sink sink
}

func newPart(plan *FilePart, out *disk.Output, count *counter) (p *part, err error) {
	p = &part{plan: plan, sink: sink{counter: count, out: out, buffered: bufio.NewWriterSize(out, writeBytes)}}
	p.w, err = gguf.NewWriter(&p.sink, plan.Metadata, plan.Infos)
	return p, err
}

// fill writes the tensors.
func (p *part) fill(tensors []Tensor) error {
	for _, t := range tensors {
		if err := fill(p.w, t); err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(t.Name), err)
		}
	}
	if err := p.w.Close(); err != nil {
		return err
	}
	return p.sink.buffered.Flush()
}

func fill(w *gguf.Writer, t Tensor) error {
	if err := t.Fill(w); err != nil {
		return err
	}
	return w.Next()
}

// sink buffers what is written.
type sink struct {
	*counter
	out      *disk.Output
	buffered *bufio.Writer
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

// verify reads the finished file back: its header must be what its metadata and infos encode to, its tensors must have the hashes they had on
// their way out, and what is behind each must be zero.
func (p *part) verify(ctx context.Context) error {
	var want header
	if _, err := gguf.NewWriter(&want, p.plan.Metadata, p.w.Infos()); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := p.sink.out.ReadAt(got, 0); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return corrupted("the header")
	}
	infos, hashes := p.w.Infos(), p.w.Hashes()
	return Each(ctx, 0, len(infos), func(i int) error {
		end := p.plan.Size - uint64(len(want))
		if i+1 < len(infos) {
			end = infos[i+1].Offset
		}
		t := &infos[i]
		return sameAgain(ctx, t, io.NewSectionReader(p.sink.out, int64(uint64(len(want))+t.Offset), int64(end-t.Offset)), hashes[i])
	})
}

// sameAgain reads a tensor back, with what is behind it.
func sameAgain(ctx context.Context, t *gguf.TensorInfo, r io.Reader, hash uint64) error {
	h, buffer := xxhash.New(), make([]byte, readBytes)
	for left := t.Size; ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := r.Read(buffer)
		data := min(left, uint64(n))
		h.Write(buffer[:data])
		left -= data
		if slices.ContainsFunc(buffer[data:n], func(b byte) bool { return b != 0 }) {
			return corrupted("the padding behind tensor %s", fault.Quote(t.Name))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if h.Sum64() != hash {
		return corrupted("tensor %s", fault.Quote(t.Name))
	}
	return nil
}

func corrupted(format string, args ...any) error {
	return fault.New("WRITE_CORRUPTED", "what was written reads back different: "+format+"; the disk or the memory is failing", args...)
}

// header takes what a gguf.Writer writes before the first tensor.
type header []byte

func (h *header) Write(p []byte) (int, error) {
	*h = append(*h, p...)
	return len(p), nil
}

func (h *header) WriteAt(p []byte, off int64) (int, error) { return copy((*h)[off:], p), nil }
