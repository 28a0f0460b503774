package checkpoint

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/nlpodyssey/safetensors"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

// Limits of a safetensors header.
const (
	maxHeader   = 100_000_000 // bytes, as in the reference implementation
	maxTensors  = 1 << 18
	maxMetadata = 1 << 16 // keys of __metadata__
	maxDims     = 16
)

// bitsOf are the element types that safetensors declares and nothing here computes with. Their sizes are checked, then they are refused.
var bitsOf = map[string]uint64{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "C64": 64}

// looksLikeSafetensors reports whether head, the beginning of a file, is a length and the beginning of a JSON object.
func looksLikeSafetensors(head string) bool {
	if len(head) < 9 || binary.LittleEndian.Uint64([]byte(head)) > maxHeader {
		return false
	}
	text := strings.TrimLeft(head[8:], " \t\r\n")
	return text == "" || text[0] == '{'
}

// readSafetensors reads and checks the header of a safetensors file.
func readSafetensors(f *file) ([]*Tensor, error) {
	var length [8]byte
	if f.Size() < 8 {
		return nil, f.fail("ST_TRUNCATED", "the file has %d bytes, a safetensors file at least 8+2; copy or download it again", f.Size())
	}
	if _, err := f.ReadAt(length[:], 0); err != nil {
		return nil, err
	}
	n, rest := binary.LittleEndian.Uint64(length[:]), uint64(f.Size()-8)
	switch {
	case n > maxHeader:
		return nil, f.fail("ST_HEADER_TOO_LARGE", "the header length at byte 0 is %d, wanted at most %d; this is not a safetensors file or it is damaged", n, maxHeader)
	case n > rest:
		return nil, f.fail("ST_TRUNCATED", "the header length at byte 0 is %d, but only %d bytes follow; copy or download it again", n, rest)
	case n < 2:
		return nil, f.fail("ST_TRUNCATED", "the header length at byte 0 is %d, wanted at least 2", n)
	}
	headers, err := f.scanHeader(int64(n))
	if err != nil {
		return nil, err
	}
	if err := f.tile(headers, rest-n); err != nil {
		return nil, err
	}
	tensors := make([]*Tensor, len(headers))
	for i, h := range headers {
		tensors[i] = &Tensor{Name: h.name, DType: DType(h.DType), Shape: h.Shape, file: f, start: int64(8 + n + h.DataOffsets[0]),
			size: int64(h.DataOffsets[1] - h.DataOffsets[0]), elements: h.elements}
	}
	return tensors, nil
}

// header is what a header says about one tensor.
type header struct {
	name     string
	elements uint64
	safetensors.TensorInfo
}

// scanHeader reads the n bytes of JSON after the length. Every tensor's type and size are right when it returns.
func (f *file) scanHeader(n int64) ([]header, error) {
	s := f.scan(8, n, "ST_BAD_HEADER", "ST_DUPLICATE_KEY", "ST_LIMIT")
	var headers []header
	s.object(maxTensors, func(key string) {
		if key == "__metadata__" {
			scanMetadata(s)
		} else {
			headers = append(headers, scanTensor(s, key))
		}
	})
	return headers, s.end()
}

// scanMetadata reads string values, none of which means anything here.
func scanMetadata(s *scanner) {
	if c := s.next(); c != '{' {
		s.fail("ST_BAD_METADATA", "__metadata__ begins with %q, wanted an object of strings", c)
	}
	s.object(maxMetadata, func(key string) {
		if c := s.next(); c != '"' {
			s.fail("ST_BAD_METADATA", "__metadata__ key %s: the value begins with %q, wanted a string", fault.Quote(key), c)
		}
		s.text()
	})
}

// scanTensor reads {"dtype": ..., "shape": ..., "data_offsets": ...}, in any order and with nothing else, and checks that they agree.
func scanTensor(s *scanner, name string) header {
	h := header{name: name}
	fail := func(code, format string, args ...any) {
		s.fail(code, "tensor "+fault.Quote(name)+": "+format, args...)
	}
	if c := s.next(); c != '{' {
		fail("ST_BAD_HEADER", "its value begins with %q, wanted an object", c)
	}
	var dtype string
	var offsets []uint64
	keys := 0
	s.object(4, func(key string) {
		keys++
		switch key {
		case "dtype":
			dtype, _ = s.text()
		case "shape":
			h.Shape = integers(s, maxDims, "ST_BAD_HEADER", fail)
		case "data_offsets":
			offsets = integers(s, 2, "ST_BAD_OFFSETS", fail)
		default:
			fail("ST_BAD_HEADER", "unknown key %s, wanted dtype, shape and data_offsets", fault.Quote(key))
		}
	})
	switch {
	case s.err != nil:
		return h
	case len(offsets) != 2:
		fail("ST_BAD_OFFSETS", "data_offsets has %d numbers, wanted two", len(offsets))
		return h
	case keys != 3:
		fail("ST_BAD_HEADER", "it has %d keys, wanted dtype, shape and data_offsets", keys)
		return h
	case offsets[0] > offsets[1]:
		fail("ST_BAD_OFFSETS", "data_offsets %d end before they begin", offsets)
		return h
	}
	h.DataOffsets = [2]uint64(offsets)

	width, known := bitsOf[dtype]
	d, err := safetensors.ParseDType(dtype)
	if err == nil {
		h.DType, width, known = d, 8*d.Size(), true
	}
	elements, ok := checked.Product(h.Shape...)
	size, fits := checked.Mul(elements, width)
	switch bytes := offsets[1] - offsets[0]; {
	case known && !(ok && fits):
		fail("ST_SIZE_OVERFLOW", "shape %s of %s is more than a file can hold", brief(h.Shape), dtype)
	case known && (size%8 != 0 || size/8 != bytes):
		fail("ST_SIZE_MISMATCH", "shape %s of %s needs %d bits, but data_offsets %d hold %d bytes", brief(h.Shape), dtype, size, offsets, bytes)
	case err != nil:
		fail("ST_UNSUPPORTED_DTYPE", "dtype %s is not supported, wanted %s", fault.Quote(dtype[:min(len(dtype), 16)]), supported())
	}
	h.elements = elements
	return h
}

// integers reads an array of at most most exact integers.
func integers(s *scanner, most int, code string, fail func(code, format string, args ...any)) []uint64 {
	list := []uint64{}
	if c := s.next(); c != '[' {
		fail(code, "found %q, wanted an array of integers", c)
	}
	s.array(func() {
		n, ok, found := s.integer()
		if !ok {
			fail(code, "found %s in an array, wanted an integer of 0..2^64-1", found)
		}
		if list = append(list, n); len(list) > most {
			fail(code, "an array has more than %d numbers", most)
		}
	})
	return list
}

// supported lists the element types that can be read.
func supported() string {
	var names []string
	for _, d := range []DType{F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, Bool} {
		names = append(names, d.String())
	}
	return strings.Join(names, " ")
}

// tile checks that the tensors cover the size bytes of data exactly once.
func (f *file) tile(headers []header, size uint64) error {
	slices.SortFunc(headers, func(a, b header) int {
		return cmp.Or(cmp.Compare(a.DataOffsets[0], b.DataOffsets[0]), cmp.Compare(a.DataOffsets[1], b.DataOffsets[1]), strings.Compare(a.name, b.name))
	})
	var covered uint64
	for _, h := range headers {
		begin, end, name := h.DataOffsets[0], h.DataOffsets[1], fault.Quote(h.name)
		switch {
		case begin > covered:
			return f.fail("ST_HOLE", "tensor %s begins at data byte %d, but the tensors before it end at %d; rewrite the file with save_file", name, begin, covered)
		case begin < covered:
			return f.fail("ST_OVERLAP", "tensor %s begins at data byte %d, inside the tensor before it, which ends at %d", name, begin, covered)
		case end > size:
			return f.fail("ST_TRUNCATED", "tensor %s ends at data byte %d, but the file has only %d; copy or download it again", name, end, size)
		}
		covered = end
	}
	if covered < size {
		return f.fail("ST_TRAILING_DATA", "the last tensor ends at data byte %d, but the file has %d; what follows belongs to no tensor", covered, size)
	}
	return nil
}
