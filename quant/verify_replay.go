package quant

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// ReplayOptions of comparing a file with what it was made from. The zero value of every field but Source works.
type ReplayOptions struct {
	Source   string                  // the file or folder that it was made from
	Version  string                  // of this release: a file that the same release wrote must be equal to the last bit
	Notice   func(string)            // what a person should know, one sentence each
	Progress func(done, total int64) // bytes compared
}

// Replay makes a file that Run wrote once more out of its source, in memory and a chunk at a time, and compares.
//
// Codes: RECEIPT_MISSING, RECEIPT_INVALID, RECEIPT_UNKNOWN; those of Compare; those of Run that concern the source.
func Replay(ctx context.Context, f *gguf.File, o ReplayOptions) error {
	receipt, err := RequireReceipt(f)
	if err != nil {
		return err
	}
	run, err := Recall(words, receipt.Options)
	if err != nil {
		return err
	}
	run.In, run.Version = o.Source, o.Version
	in, err := gguf.Open(o.Source)
	if err != nil {
		return fmt.Errorf("wf quantize made the file from another GGUF, which the source must be: %w", err)
	}
	defer in.Close()
	if err := receipt.CheckSources(in.Paths(), receipt.Version == o.Version); err != nil {
		return err
	}
	r, err := plan(ctx, in, *run)
	if err == nil {
		err = r.scan(ctx, 0)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Source, err)
	}
	return Compare(ctx, f, &r.file, o)
}

// Compare holds a file that has been written against one that has been decided: the sources against the receipt, and what Write would write
// against what is there.
//
// A file of the same release must be the same in every byte and key. In one of another release each ternary code must be the same, every other
// weight within what its type rounds, and keys that differ are notices.
//
// Codes: SOURCE_MISMATCH, REPLAY_MISMATCH, RECEIPT_MISSING, RECEIPT_INVALID, FILE_CHANGED, and whatever Fill returns.
func Compare(ctx context.Context, f *gguf.File, want *File, o ReplayOptions) error {
	receipt, err := RequireReceipt(f)
	if err != nil {
		return err
	}
	c := &comparison{file: f, receipt: receipt, exact: receipt.Version == o.Version, o: o}
	if err := receipt.CheckSources(want.Sources, c.exact); err != nil {
		return err
	}
	s, err := openSources(want.Sources)
	if err != nil {
		return err
	}
	defer s.close()
	md, infos, _, err := want.plan(s)
	if err != nil {
		return err
	}
	if err := c.header(md, infos); err != nil {
		return err
	}

	sums := want.Sums
	if sums == nil {
		sums, ctx = HashSources(ctx, len(s), s.scan)
		defer sums.Stop() // before the sources are closed
	}
	differs := c.tensors(ctx, want)
	all, err := sums.Wait()
	if err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	wrongSource := c.sums(s, all)
	if err := errors.Join(wrongSource, differs); err != nil { // another source is the reason for other weights, and comes first
		return err
	}
	if err := s.changed(); err != nil || want.Changed == nil {
		return err
	}
	return want.Changed()
}

// comparison is one file and its receipt.
type comparison struct {
	file    *gguf.File
	receipt *Receipt
	exact   bool // the same release wrote the file
	o       ReplayOptions
}

func sourceMismatch(format string, args ...any) error {
	return fault.New("SOURCE_MISMATCH", format, args...)
}
func replayMismatch(format string, args ...any) error {
	return fault.New("REPLAY_MISMATCH", format, args...)
}

// CheckSources compares names and sizes of files with those that the receipt records, before anything large is read. The same release (exact)
// reads the same files; another may read more, but none less. Code: SOURCE_MISMATCH.
func (r *Receipt) CheckSources(paths []string, exact bool) error {
	s, err := openSources(paths)
	if err != nil {
		return err
	}
	defer s.close()
	for _, recorded := range r.Sources {
		i := s.find(recorded.Name)
		if i < 0 {
			return sourceMismatch("the file was made from %s of %d bytes (sha256 %x), which this source does not have",
				fault.Quote(recorded.Name), recorded.Size, recorded.Sum)
		}
		if size := s[i].Size(); size != recorded.Size {
			return sourceMismatch("%s has %d bytes; the file was made from one of %d", s[i].Name(), size, recorded.Size)
		}
	}
	for _, f := range s {
		name := filepath.Base(f.Name())
		if exact && !slices.ContainsFunc(r.Sources, func(s SourceFile) bool { return s.Name == name }) {
			return sourceMismatch("this source has a %s that takes part, and the file was made without one", fault.Quote(name))
		}
	}
	return nil
}

// find returns the place of the source with a base name, or -1.
func (s sources) find(name string) int {
	for i, f := range s {
		if filepath.Base(f.Name()) == name {
			return i
		}
	}
	return -1
}

func (c *comparison) sums(s sources, sums [][sha256.Size]byte) error {
	for _, recorded := range c.receipt.Sources {
		if i := s.find(recorded.Name); sums[i] != recorded.Sum {
			return sourceMismatch("%s has the sha256 %x; the file was made from one with %x", s[i].Name(), sums[i], recorded.Sum)
		}
	}
	return nil
}

// header compares what is in front of the data: keys, and names, types and shapes of tensors.
func (c *comparison) header(md *gguf.Metadata, infos []gguf.TensorInfo) error {
	if len(infos) != len(c.file.Tensors) {
		return replayMismatch("the file has %d tensors, the source gives %d", len(c.file.Tensors), len(infos))
	}
	for i, want := range infos {
		if got := c.file.Tensors[i]; got.Name != want.Name || got.Type != want.Type || !slices.Equal(got.Dims, want.Dims) {
			return replayMismatch("tensor %d is %s %v %v; the source gives %s %v %v", i, fault.Quote(got.Name), got.Type, got.Dims,
				fault.Quote(want.Name), want.Type, want.Dims)
		}
	}
	own := []string{names.Version, names.SourceFiles, names.TensorHashes} // compared elsewhere
	differ := func(format string, args ...any) error {
		if err := replayMismatch(format, args...); c.exact {
			return err
		} else if c.o.Notice != nil {
			c.o.Notice(fmt.Sprintf("%v: the file is of release %s", err, c.receipt.Version))
		}
		return nil
	}
	for _, kv := range md.All() {
		if slices.Contains(own, kv.Key) {
			continue
		}
		got, ok := c.file.Metadata.Get(kv.Key)
		var err error
		if !ok {
			err = differ("the file has no key %s, the source gives %s", kv.Key, brief(kv.Value))
		} else if !sameValue(got, kv.Value) {
			err = differ("key %s is %s; the source gives %s", kv.Key, brief(got), brief(kv.Value))
		}
		if err != nil {
			return err
		}
	}
	for _, kv := range c.file.Metadata.All() {
		if !md.Has(kv.Key) {
			if err := differ("the file has a key %s, %s, which the source does not give", fault.Quote(kv.Key), brief(kv.Value)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameValue compares values as they are stored: NaN is itself.
func sameValue(a, b any) bool {
	return reflect.DeepEqual(a, b) || a != nil && reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && a != a && b != b
}

// brief shows a value, cut.
func brief(v any) string {
	if s, ok := v.(string); ok {
		return fault.Quote(s)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		return fmt.Sprintf("an array of %d", r.Len())
	}
	return fmt.Sprint(v)
}

// tensors compares all data.
func (c *comparison) tensors(ctx context.Context, want *File) error {
	var done, total int64
	for i := range c.file.Tensors {
		total += int64(c.file.Tensors[i].Size)
	}
	for i, t := range want.Tensors {
		info := &c.file.Tensors[i]
		against := newAgainst(ctx, c.file.TensorReader(info), info, c.exact, func(n int) {
			if done += int64(n); c.o.Progress != nil {
				c.o.Progress(done, total)
			}
		})
		err := t.Fill(against)
		if err == nil {
			err = against.end()
		}
		if err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(t.Name), err)
		}
	}
	return nil
}

// against is what a tensor's bytes are written to in order to be compared.
type against struct {
	ctx   context.Context
	r     io.ReaderAt
	info  *gguf.TensorInfo
	exact bool
	seen  func(n int)

	at   uint64 // bytes compared
	want []byte // whole blocks but for what has come last
	got  []byte
}

func newAgainst(ctx context.Context, r io.ReaderAt, info *gguf.TensorInfo, exact bool, seen func(int)) *against {
	block := int(info.Type.BlockBytes())
	piece := (1 << 20) / block * block
	return &against{ctx: ctx, r: r, info: info, exact: exact, seen: seen, want: make([]byte, 0, piece), got: make([]byte, piece)}
}

func (a *against) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), cap(a.want)-len(a.want))
		a.want = append(a.want, rest[:n]...)
		rest = rest[n:]
		if len(a.want) == cap(a.want) {
			if err := a.compare(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// end compares what is left.
func (a *against) end() error {
	if err := a.compare(); err != nil {
		return err
	}
	if a.at != a.info.Size {
		return replayMismatch("the file has %d bytes of it, the source gives %d", a.info.Size, a.at)
	}
	return nil
}

func (a *against) compare() error {
	if err := context.Cause(a.ctx); err != nil {
		return err
	}
	if a.at+uint64(len(a.want)) > a.info.Size {
		return replayMismatch("the file has %d bytes of it, the source gives more", a.info.Size)
	}
	got := a.got[:len(a.want)]
	if n, err := a.r.ReadAt(got, int64(a.at)); n < len(got) {
		return err
	}
	if err := a.difference(got); err != nil {
		return err
	}
	a.seen(len(got))
	a.at += uint64(len(got))
	a.want = a.want[:0]
	return nil
}
