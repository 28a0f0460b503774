package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Limits of a header. Those with a LIMIT code bound what reading may cost, far above what any model needs; the others are the format's.
const (
	maxEntries  = 65536     // GGUF_LIMIT_KV
	maxTensors  = 65536     // GGUF_LIMIT_TENSORS
	maxString   = 16 << 20  // GGUF_LIMIT_STRING
	maxMetadata = 128 << 20 // GGUF_LIMIT_METADATA, bytes of memory for all keys and values
	maxKey      = 65535
	maxName     = 63 // llama.cpp's buffer, GGML_MAX_NAME, with its final zero has 64
	maxDims     = 4

	minEntry = 14 // bytes in a file: length, key of one byte, type, value of one byte
	minInfo  = 25 // bytes in a file: length, name of one byte, dimension count, type, offset

	defaultAlignment = 32
	minAlignment     = 8 // so that every number in the data can be viewed in place
	maxAlignment     = 65536
)

// stringBytes and entryBytes are what a string in an array, and an entry, cost in memory besides text and numbers.
const (
	stringBytes = 16
	entryBytes  = 64
)

// bufferBytes is how much is read at a time, and how much text shares one allocation.
const bufferBytes = 64 << 10

// parser reads a header front to back. It allocates nothing by a number out of the file before that number has been held against the bytes
// that are left and against the budget.
type parser struct {
	r         *bufio.Reader
	pos, size uint64
	spent     uint64          // of maxMetadata
	text      strings.Builder // short strings share its memory: a vocabulary costs a few allocations, not one a token
}

func (p *parser) left() uint64 { return p.size - p.pos }

// take returns the next n bytes, which stay valid until the next call. The caller has bounded n.
func (p *parser) take(n uint64) (b []byte, err error) {
	if n > p.left() {
		return nil, fault.New("GGUF_TRUNCATED", "the file ends at byte %d, inside a field of %d bytes at byte %d: it was cut short, fetch it again",
			p.size, n, p.pos)
	}
	if n <= bufferBytes {
		b, err = p.r.Peek(int(n))
		p.r.Discard(len(b))
	} else {
		b = make([]byte, n)
		_, err = io.ReadFull(p.r, b)
	}
	if err != nil {
		return nil, p.readError(err)
	}
	p.pos += n
	return b, nil
}

// readError explains an error of the reader: a file that ends before its size is malformed, anything else is the machine's fault.
func (p *parser) readError(err error) error {
	switch {
	case fault.Code(err) != "":
		return fmt.Errorf("reading at byte %d: %w", p.pos, err)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New("GGUF_TRUNCATED", "reading at byte %d of %d: the file ends early, it is being cut short", p.pos, p.size)
	}
	return fault.New("IO_ERROR", "reading at byte %d: %w", p.pos, err)
}

func (p *parser) uint32() (uint32, error) {
	b, err := p.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (p *parser) uint64() (uint64, error) {
	b, err := p.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// string returns the next n bytes as a string.
func (p *parser) string(n uint64) (string, error) {
	b, err := p.take(n)
	if err != nil || len(b) > bufferBytes/4 {
		return string(b), err
	}
	if p.text.Len()+len(b) > p.text.Cap() {
		p.text.Reset() // the strings cut from it keep its memory
		p.text.Grow(bufferBytes)
	}
	start := p.text.Len()
	p.text.Write(b)
	return p.text.String()[start:], nil
}

// spend takes n bytes from the budget for metadata.
func (p *parser) spend(n uint64) error {
	if n > maxMetadata-p.spent {
		return fault.New("GGUF_LIMIT_METADATA", "the metadata takes more than %d MiB of memory, at byte %d", maxMetadata>>20, p.pos)
	}
	p.spent += n
	return nil
}

// file reads the whole header.
func (p *parser) file() (*File, error) {
	f := &File{Size: p.size, Metadata: &Metadata{}}
	var err error
	if f.Version, err = p.version(); err != nil {
		return nil, err
	}
	tensors, err := p.count("tensors", minInfo, maxTensors, "GGUF_LIMIT_TENSORS")
	if err != nil {
		return nil, err
	}
	entries, err := p.count("metadata entries", minEntry, maxEntries, "GGUF_LIMIT_KV")
	if err != nil {
		return nil, err
	}
	if err := p.metadata(f.Metadata, entries); err != nil {
		return nil, err
	}
	if f.Alignment, err = alignment(f.Metadata); err != nil {
		return nil, err
	}
	if n, _, err := Value[uint16](f.Metadata, names.SplitCount); err != nil {
		return nil, err
	} else if n > 1 {
		return nil, fault.New("GGUF_SPLIT", "this is one of %d files of a split model, which wf does not read; join them with llama-gguf-split --merge", n)
	}
	if err := p.tensors(f, tensors); err != nil {
		return nil, err
	}
	f.infosEnd = p.pos
	f.DataOffset, _ = checked.Align(p.pos, f.Alignment) // fits: pos is at most the size of a file
	var data uint64
	if f.Size > f.DataOffset {
		data = f.Size - f.DataOffset
	}
	if f.order, f.end, err = place(f.Tensors, f.Alignment, data); err != nil {
		return nil, err
	}
	if padded, _ := checked.Align(f.end, f.Alignment); data > padded {
		f.Trailing = data - padded
	}
	return f, nil
}

// version reads and checks magic and version.
func (p *parser) version() (uint32, error) {
	if p.size == 0 {
		return 0, fault.New("FILE_EMPTY", "the file is empty")
	}
	magic, err := p.r.Peek(int(min(p.size, 4)))
	if err != nil {
		return 0, p.readError(err)
	}
	if string(magic) != "GGUF" {
		head, _ := p.r.Peek(int(min(p.size, 512)))
		return 0, fault.New("GGUF_NOT_GGUF", "not a GGUF file: it begins with %s%s", fault.Quote(string(magic)), recognise(head))
	}
	if _, err := p.take(4); err != nil {
		return 0, err
	}
	v, err := p.uint32()
	switch {
	case err != nil:
		return 0, err
	case v == 0:
		return 0, fault.New("GGUF_BAD_VERSION", "version 0; wf reads versions 2 and 3")
	case v&0xffff == 0:
		return 0, fault.New("GGUF_BIG_ENDIAN", "big-endian GGUF (version %#08x) is unsupported; wf reads little-endian files", v)
	case v != 2 && v != 3:
		return 0, fault.New("GGUF_UNSUPPORTED_VERSION", "version %d is unsupported; wf reads versions 2 and 3", v)
	}
	return v, nil
}

// count reads how many of something follow. A number up to the limit is believed until the bytes run out, which tells a file that was cut
// short from one that lies; nothing is allocated by it.
func (p *parser) count(what string, minBytes, limit uint64, code string) (uint64, error) {
	at := p.pos
	n, err := p.uint64()
	switch {
	case err != nil:
		return 0, err
	case n <= limit:
		return n, nil
	case n > p.left()/minBytes:
		return 0, fault.New("GGUF_COUNT_EXCEEDS_FILE", "%d %s at byte %d cannot fit in the %d bytes that follow", n, what, at, p.left())
	}
	return 0, fault.New(code, "%d %s at byte %d; wf reads at most %d", n, what, at, limit)
}

// metadata reads n entries.
func (p *parser) metadata(m *Metadata, n uint64) error {
	var at []uint64 // where each entry begins
	for i := range n {
		start := p.pos
		key, err := p.key()
		if err != nil {
			return fmt.Errorf("metadata entry %d at byte %d: %w", i, start, err)
		}
		if first, ok := m.index[key]; ok {
			return fault.New("GGUF_DUPLICATE_KEY", "key %s at byte %d is also at byte %d", fault.Quote(key), start, at[first])
		}
		value, err := p.value()
		if err != nil {
			return fmt.Errorf("key %s: %w", fault.Quote(key), err)
		}
		m.Set(key, value)
		at = append(at, start)
	}
	return nil
}

func (p *parser) key() (string, error) {
	n, err := p.uint64()
	if err != nil {
		return "", err
	}
	if n < 1 || n > maxKey {
		return "", fault.New("GGUF_BAD_KEY_LENGTH", "a key of %d bytes; it must have 1 to %d", n, maxKey)
	}
	if err := p.spend(n + entryBytes); err != nil {
		return "", err
	}
	key, err := p.string(n)
	if err == nil && !printable(key) {
		err = fault.New("GGUF_BAD_KEY", "key %s is not printable UTF-8", fault.Quote(key))
	}
	return key, err
}

// printable keeps text that a terminal or a log would obey out of keys and names.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// value reads a value behind its key.
func (p *parser) value() (any, error) {
	at := p.pos
	t, err := p.valueType()
	if err != nil {
		return nil, err
	}
	switch t {
	case String:
		return p.stringValue()
	case Array:
		if t, err = p.valueType(); err != nil {
			return nil, err
		}
		if t == Array {
			return nil, fault.New("GGUF_NESTED_ARRAY", "the value at byte %d is an array of arrays; neither llama.cpp nor wf reads those", at)
		}
		n, err := p.uint64()
		if err != nil {
			return nil, err
		}
		if n > p.left()/valueTypes[t].bytes {
			return nil, fault.New("GGUF_COUNT_EXCEEDS_FILE", "an array of %d values of type %s at byte %d cannot fit in the %d bytes that follow; "+
				"if the file was cut short, fetch it again", n, t, at, p.left())
		}
		if t == String {
			return p.strings(n)
		}
		values, err := p.numbers(t, n)
		if err != nil {
			return nil, err
		}
		return values.Interface(), nil
	}
	one, err := p.numbers(t, 1)
	if err != nil {
		return nil, err
	}
	return one.Index(0).Interface(), nil
}

func (p *parser) valueType() (ValueType, error) {
	at := p.pos
	n, err := p.uint32()
	if err == nil && n >= uint32(len(valueTypes)) {
		err = fault.New("GGUF_BAD_KV_TYPE", "value type %d at byte %d is unknown; types are 0 to %d", n, at, len(valueTypes)-1)
	}
	return ValueType(n), err
}

func (p *parser) stringValue() (string, error) {
	at := p.pos
	n, err := p.uint64()
	if err != nil {
		return "", err
	}
	if n <= p.left() { // else it is cut short
		if n > maxString {
			return "", fault.New("GGUF_LIMIT_STRING", "a string of %d bytes at byte %d; wf reads at most %d", n, at, maxString)
		}
		if err := p.spend(n); err != nil {
			return "", err
		}
	}
	return p.string(n)
}

// strings reads n strings; the file has been seen to have at least 8 bytes for each.
func (p *parser) strings(n uint64) (_ []string, err error) {
	if err := p.spend(n * stringBytes); err != nil {
		return nil, err
	}
	values := make([]string, n)
	for i := range values {
		if values[i], err = p.stringValue(); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return values, nil
}

// numbers reads n values of a type of fixed width as a slice; the file has been seen to have the bytes.
func (p *parser) numbers(t ValueType, n uint64) (values reflect.Value, err error) {
	width := valueTypes[t].bytes
	if err := p.spend(n * width); err != nil {
		return values, err
	}
	length := int(n) // fits: the budget does
	values = reflect.MakeSlice(reflect.SliceOf(valueTypes[t].goType), length, length)
	for done := 0; done < length; {
		some := min(length-done, bufferBytes/int(width))
		at := p.pos
		b, err := p.take(uint64(some) * width)
		if err != nil {
			return values, err
		}
		if t == Bool {
			for i, c := range b {
				if c > 1 {
					return values, fault.New("GGUF_BAD_BOOL", "bool %d at byte %d; it must be 0 or 1", c, at+uint64(i))
				}
			}
		}
		if _, err := binary.Decode(b, binary.LittleEndian, values.Slice(done, done+some).Interface()); err != nil {
			panic(err) // not a type of the table
		}
		done += some
	}
	return values, nil
}

// tensors reads n tensor infos.
func (p *parser) tensors(f *File, n uint64) error {
	bitNet := isBitNet(f.Metadata)
	f.index = map[string]int{}
	for i := range int(n) {
		at := p.pos
		name, err := p.name()
		if err != nil {
			return fmt.Errorf("tensor %d at byte %d: %w", i, at, err)
		}
		if first, ok := f.index[name]; ok {
			return fault.New("GGUF_DUPLICATE_TENSOR", "tensors %d and %d have the same name, %s", first, i, fault.Quote(name))
		}
		info, err := p.info()
		if err == nil {
			info.Name = name
			err = info.measure(bitNet)
		}
		if err != nil {
			return inTensor(name, err)
		}
		f.index[name] = i
		f.Tensors = append(f.Tensors, info)
	}
	return nil
}

func inTensor(name string, err error) error {
	return fmt.Errorf("tensor %s: %w", fault.Quote(name), err)
}

func (p *parser) name() (string, error) {
	n, err := p.uint64()
	if err != nil {
		return "", err
	}
	if n < 1 || n > maxName {
		return "", fault.New("GGUF_BAD_TENSOR_NAME", "a name of %d bytes; it must have 1 to %d", n, maxName)
	}
	name, err := p.string(n)
	if err == nil && (!printable(name) || strings.Contains(name, "/")) {
		err = fault.New("GGUF_BAD_TENSOR_NAME", "name %s is not printable UTF-8 without slashes", fault.Quote(name))
	}
	return name, err
}

// info reads an info behind its name.
func (p *parser) info() (t TensorInfo, err error) {
	rank, err := p.uint32()
	if err != nil {
		return t, err
	}
	if err := checkRank(rank); err != nil {
		return t, err
	}
	t.Dims = make([]uint64, rank)
	for i := range t.Dims {
		if t.Dims[i], err = p.uint64(); err != nil {
			return t, err
		}
	}
	kind, err := p.uint32()
	if err != nil {
		return t, err
	}
	t.Type = Type(kind)
	t.Offset, err = p.uint64()
	return t, err
}

// alignment returns the alignment that a file's metadata asks for.
func alignment(m *Metadata) (uint64, error) {
	a, ok, err := Value[uint32](m, names.Alignment)
	switch {
	case err != nil:
		return 0, fault.New("GGUF_BAD_ALIGNMENT", "%w", err)
	case !ok:
		return defaultAlignment, nil
	case a < minAlignment || a > maxAlignment || a&(a-1) != 0:
		return 0, fault.New("GGUF_BAD_ALIGNMENT", "%s is %d; it must be a power of two, %d to %d", names.Alignment, a, minAlignment, maxAlignment)
	}
	return uint64(a), nil
}
