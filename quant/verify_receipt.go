package quant

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Receipt is what a file that wf wrote says of how it came about.
type Receipt struct {
	Version string
	Options string // as Record writes them
	Sources []SourceFile
	Hashes  []uint64 // xxh64 of each tensor's data, in file order
}

// SourceFile is one file that was read.
type SourceFile struct {
	Name string // base name
	Size int64
	Sum  [sha256.Size]byte
}

// Quantized reports whether Run made the file, from another GGUF file; else wf convert did, from a checkpoint.
func (r *Receipt) Quantized() bool {
	first, _, _ := strings.Cut(r.Options, " ")
	return first == quantizeWord
}

// RequireReceipt is ReadReceipt for who cannot do without: a file that does not say how it came about is RECEIPT_MISSING.
func RequireReceipt(f *gguf.File) (*Receipt, error) {
	r, err := ReadReceipt(f)
	if r == nil && err == nil {
		err = fault.New("RECEIPT_MISSING", "the file does not say what it was made from and how: only files that wf wrote can be compared with their source")
	}
	return r, err
}

// ReadReceipt returns nil for a file without wf.version. What is there but not whole is RECEIPT_INVALID.
func ReadReceipt(f *gguf.File) (*Receipt, error) {
	md := f.Metadata
	if !md.Has(names.Version) {
		return nil, nil
	}
	r := &Receipt{}
	var entries []string
	invalid := func(format string, args ...any) (*Receipt, error) {
		return nil, fault.New("RECEIPT_INVALID", format, args...)
	}
	for _, key := range []struct {
		name string
		ok   bool
	}{
		{names.Version, stored(md, names.Version, &r.Version)},
		{names.Options, stored(md, names.Options, &r.Options)},
		{names.SourceFiles, stored(md, names.SourceFiles, &entries)},
		{names.TensorHashes, stored(md, names.TensorHashes, &r.Hashes)},
	} {
		if !key.ok {
			return invalid("the file has %s but no %s of the right type: something edited it", names.Version, key.name)
		}
	}
	if len(r.Hashes) != len(f.Tensors) {
		return invalid("%s has %d hashes for %d tensors", names.TensorHashes, len(r.Hashes), len(f.Tensors))
	}
	for i := range f.Tensors {
		if f.Tensors[i].Type == gguf.I2_S && !md.Has(names.I2SLayout) {
			return invalid("tensor %s is I2_S, but the file has no %s, which wf always writes", fault.Quote(f.Tensors[i].Name), names.I2SLayout)
		}
	}
	for i, text := range entries {
		s, ok := parseSource(text)
		if !ok {
			return invalid("%s: entry %d is %s; it must be a name, a size and a sha256", names.SourceFiles, i, fault.Quote(text))
		}
		r.Sources = append(r.Sources, s)
	}
	return r, nil
}

func stored[T any](md *gguf.Metadata, key string, to *T) bool {
	v, ok, err := gguf.Value[T](md, key)
	*to = v
	return ok && err == nil
}

// parseSource reads what sources.entries writes. A name may hold spaces.
func parseSource(text string) (s SourceFile, ok bool) {
	rest, sum, found := cutLast(text)
	name, size, also := cutLast(rest)
	n, err := strconv.ParseInt(size, 10, 64)
	bytes, hexErr := hex.DecodeString(sum)
	if !found || !also || err != nil || hexErr != nil || len(bytes) != sha256.Size || name == "" || n < 0 {
		return s, false
	}
	s.Name, s.Size = name, n
	copy(s.Sum[:], bytes)
	return s, true
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}
