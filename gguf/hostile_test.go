package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Recipes of bytes: u8, u32, u64 are little-endian numbers, a string is its length and its bytes, raw is bytes alone, zeros(n) is n of them.
type (
	u8  = uint8
	u16 = uint16
	u32 = uint32
	u64 = uint64
	raw string
)

func zeros(n int) raw { return raw(make([]byte, n)) }

func build(parts ...any) []byte {
	var b []byte
	for _, part := range parts {
		switch part := part.(type) {
		case raw:
			b = append(b, part...)
		case string:
			b = appendString(b, part)
		case []byte:
			b = append(b, part...)
		default:
			var err error
			if b, err = binary.Append(b, binary.LittleEndian, part); err != nil {
				panic(err)
			}
		}
	}
	return b
}

// entry is a file of one metadata entry, made of these parts.
func entry(parts ...any) []byte { return entries(1, parts...) }

func entries(n u64, parts ...any) []byte {
	return build(raw("GGUF"), u32(3), u64(0), n, build(parts...))
}

// info is one tensor info.
func info(name string, t Type, offset u64, dims ...u64) []byte {
	return build(name, u32(len(dims)), dims, t, offset)
}

// tensors is a file of these infos, no metadata, and that many bytes of data.
func tensors(data int, infos ...[]byte) []byte {
	return tensorsOf(data, nil, infos...)
}

// tensorsOf is tensors with metadata entries.
func tensorsOf(data int, metadata [][]byte, infos ...[]byte) []byte {
	b := build(raw("GGUF"), u32(3), u64(len(infos)), u64(len(metadata)), bytes.Join(metadata, nil), bytes.Join(infos, nil))
	return append(b, make([]byte, int(padding(u64(len(b)), 32))+data)...)
}

// oneTensor is a file whose only tensor info is made of these parts.
func oneTensor(parts ...any) []byte {
	return build(raw("GGUF"), u32(3), u64(1), u64(0), build(parts...), zeros(64))
}

func slowness() float64 {
	if s := os.Getenv("WF_TEST_SLOWNESS"); s != "" {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic(err)
		}
		return x
	}
	return 1
}

// cheaply runs f and holds it to the time and the memory that a parser may take for an input of that size (ACCEPTANCE.md, P). What is measured
// is everything f allocates, an upper bound of the memory that it holds at any moment.
func cheaply(t *testing.T, size int, f func()) {
	t.Helper()
	limit := uint64(min(4*size, 400<<20))
	switch {
	case size < 4<<10:
		limit = 256 << 10
	case size < 16<<20:
		limit = 64 << 20
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > limit {
		t.Errorf("allocated %d bytes for an input of %d, limit %d", got, size, limit)
	}
	if most := time.Duration(2 * slowness() * float64(time.Second)); took > most {
		t.Errorf("took %v, limit %v", took, most)
	}
}

// refused reads a hostile file and holds the error to its code, its words and the form of every error.
func refused(t *testing.T, file []byte, code string, words ...string) {
	t.Helper()
	var err error
	cheaply(t, len(file), func() { _, err = Read(bytes.NewReader(file), int64(len(file))) })
	if err == nil {
		t.Fatalf("loaded; want %s", code)
	}
	text := err.Error()
	if got := fault.Code(err); got != code {
		t.Errorf("code %s, want %s: %s", got, code, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("error does not say %q: %s", word, text)
		}
	}
	if len(text) > 300 || !strings.HasPrefix(text, "gguf: ") || strings.Count(text, "gguf:") > 1 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("not one plain line of at most 300 characters: %q", text)
	}
}

func TestHostileHeader(t *testing.T) {
	huge := []u64{1<<32 - 1, 1 << 63, 1<<64 - 1}
	type row struct {
		name  string
		file  []byte
		code  string
		words []string
	}
	var rows []row
	add := func(name string, file []byte, code string, words ...string) {
		rows = append(rows, row{name, file, code, words})
	}

	add("R2 lower-case magic", []byte("gguf\x03\x00\x00\x00"), "GGUF_NOT_GGUF")
	add("R2 reversed magic", []byte("FUGG\x00\x00\x00\x03"), "GGUF_NOT_GGUF")
	add("R2 random", []byte("\x1b[2J\x00\xff\xfe\xfd"), "GGUF_NOT_GGUF", `\x1b`)
	add("R2 HTML page", []byte("\n<!DOCTYPE html>\n<html><title>404"), "GGUF_NOT_GGUF", "HTML page")
	add("R2 HTML page without doctype", []byte("<html><body>"), "GGUF_NOT_GGUF", "HTML page")
	add("R2 Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), "GGUF_NOT_GGUF",
		"this is a Git LFS pointer, fetch the real file")
	add("R2 safetensors", build(u64(2), raw("{}")), "GGUF_NOT_GGUF", "safetensors")
	add("R2 zip", []byte("PK\x03\x04\x14\x00\x00\x00\x08\x00"), "GGUF_NOT_GGUF", "zip archive")

	for version, code := range map[u32]string{
		0: "GGUF_BAD_VERSION", 1: "GGUF_UNSUPPORTED_VERSION", 4: "GGUF_UNSUPPORTED_VERSION", 1<<32 - 1: "GGUF_UNSUPPORTED_VERSION",
	} {
		add(fmt.Sprint("R3 version ", version), build(raw("GGUF"), version, u64(0), u64(0)), code, fmt.Sprint(version))
	}
	add("R4 big endian", build(raw("GGUF"), u32(3<<24), u64(0), u64(0)), "GGUF_BIG_ENDIAN", "big-endian")

	for _, n := range huge {
		add(fmt.Sprint("R5 entries ", n), build(raw("GGUF"), u32(3), u64(0), n, zeros(76)), "GGUF_COUNT_EXCEEDS_FILE", fmt.Sprint(n), "byte 16")
		add(fmt.Sprint("R6 tensors ", n), build(raw("GGUF"), u32(3), n, u64(0), zeros(76)), "GGUF_COUNT_EXCEEDS_FILE", fmt.Sprint(n), "byte 8")
	}
	add("R7 200 000 entries", build(raw("GGUF"), u32(3), u64(0), u64(200_000), manyEntries(200_000)), "GGUF_LIMIT_KV", "200000", "65536")

	for _, n := range []u64{0, 65536, 1 << 63, 1<<64 - 1} {
		add(fmt.Sprint("R8 key of length ", n), entry(n, zeros(70000)), "GGUF_BAD_KEY_LENGTH", fmt.Sprint(n), "byte 24")
	}
	for _, key := range []string{"a\x00b", "a\xff", "\x1b[31mred", "a\nb", "a\u202eb", "\u009b2J"} {
		add(fmt.Sprintf("R9 key %+q", key), entry(key, Uint8, u8(1)), "GGUF_BAD_KEY", strconv.QuoteToASCII(key))
	}

	for _, n := range []u64{101, 1 << 31, 1 << 63, 1<<64 - 1} {
		add(fmt.Sprint("R10 string of length ", n), entry("k", String, n, zeros(100)), "GGUF_TRUNCATED", `key "k"`, "byte 45")
		add(fmt.Sprint("R10 element of length ", n), entry("k", Array, String, u64(2), "", n, zeros(100)), "GGUF_TRUNCATED", `key "k"`, "element 1")
	}
	add("R11 string of 16 MiB+1", entry("k", String, u64(16<<20+1), zeros(16<<20+1)), "GGUF_LIMIT_STRING", `key "k"`, "byte 37")

	for _, n := range []u32{13, 255, 1<<32 - 1} {
		add(fmt.Sprint("R12 value type ", n), entry("k", n, zeros(64)), "GGUF_BAD_KV_TYPE", `key "k"`, fmt.Sprint(n), "byte 33")
		add(fmt.Sprint("R12 element type ", n), entry("k", Array, n, zeros(64)), "GGUF_BAD_KV_TYPE", `key "k"`, fmt.Sprint(n), "byte 37")
	}
	for _, depth := range []int{1, 100, 2_000_000} {
		nest := bytes.Repeat(build(Array, u64(1)), depth)
		add(fmt.Sprint("R13 nested arrays, depth ", depth), entry("k", Array, nest, Uint8, u64(1), u8(1)), "GGUF_NESTED_ARRAY", `key "k"`)
	}
	for _, n := range []u64{1 << 63, 1<<64 - 1, 100/4 + 1} {
		add(fmt.Sprint("R14 array of ", n), entry("k", Array, Uint32, n, zeros(100)), "GGUF_COUNT_EXCEEDS_FILE", `key "k"`, fmt.Sprint(n), "byte 33")
	}
	add("R14 64 Mi empty strings in 60 bytes", entry("k", Array, String, u64(64<<20), zeros(11)), "GGUF_COUNT_EXCEEDS_FILE")
	add("R15 arrays beyond the metadata budget", mediumArrays(), "GGUF_LIMIT_METADATA", `key "array.8"`)
	add("R16 bool 2", entry("k", Bool, u8(2)), "GGUF_BAD_BOOL", `key "k"`, "byte 37")
	add("R16 bool 255 in an array", entry("k", Array, Bool, u64(3), u8(0), u8(1), u8(255)), "GGUF_BAD_BOOL", `key "k"`, "byte 51")
	add("R17 duplicate key", entries(2, "k", Uint8, u8(1), "k", Uint8, u8(1)), "GGUF_DUPLICATE_KEY", `key "k"`, "byte 24", "byte 38")
	add("R17 duplicate key, another value", entries(2, "general.architecture", String, "llama", "general.architecture", String, "bitnet"),
		"GGUF_DUPLICATE_KEY", `"general.architecture"`, "byte 24", "byte 69")

	for _, a := range []u32{0, 1, 3, 4, 13, 1 << 17, 1 << 31} {
		add(fmt.Sprint("R28 alignment ", a), entry("general.alignment", Uint32, a), "GGUF_BAD_ALIGNMENT", fmt.Sprint(a), "8 to 65536")
	}
	add("R28 alignment as int32", entry("general.alignment", Int32, u32(32)), "GGUF_BAD_ALIGNMENT", "int32")
	add("R28 alignment as uint64", entry("general.alignment", Uint64, u64(32)), "GGUF_BAD_ALIGNMENT", "uint64")
	add("R28 alignment as string", entry("general.alignment", String, "32"), "GGUF_BAD_ALIGNMENT", "string")
	add("split file without its number", entry("split.count", Uint16, u16(3)), "GGUF_SPLIT", "split.no 0", "split.count 3")
	add("split count as uint32", entry("split.count", Uint32, u32(3)), "MODEL_BAD_PARAM_TYPE", "uint16")
	add("65535 split files", build(entry("split.count", Uint16, u16(65535))), "GGUF_SPLIT", "65535", "1024")

	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { refused(t, r.file, r.code, r.words...) })
	}
}

func TestHostileTensors(t *testing.T) {
	type row struct {
		name  string
		file  []byte
		code  string
		words []string
	}
	var rows []row
	add := func(name string, file []byte, code string, words ...string) {
		rows = append(rows, row{name, file, code, words})
	}

	add("R18 duplicate tensor", tensors(64, info("a", F32, 0, 1), info("b", F32, 32, 1), info("a", F32, 64, 1)), "GGUF_DUPLICATE_TENSOR", `"a"`)
	for _, n := range []u64{0, 64, 1<<64 - 1} {
		add(fmt.Sprint("R19 name of length ", n), oneTensor(n, zeros(100)), "GGUF_BAD_TENSOR_NAME", fmt.Sprint(n), "byte 24")
	}
	for _, name := range []string{"a/b", "a\x00b", "a\nb", "\xff"} {
		add(fmt.Sprintf("R19 name %q", name), tensors(32, info(name, F32, 0, 1)), "GGUF_BAD_TENSOR_NAME", strconv.QuoteToASCII(name))
	}
	for _, n := range []u32{0, 5, 1<<32 - 1} {
		// Nothing follows the field: reading on would be GGUF_TRUNCATED.
		add(fmt.Sprint("R20 dimensions: ", n), build(raw("GGUF"), u32(3), u64(1), u64(0), "t", n), "GGUF_BAD_NDIMS", `tensor "t"`, fmt.Sprint(n))
	}
	for _, d := range []u64{0, 1 << 63, 1<<64 - 1} {
		for _, kind := range []Type{F32, Q8_0, I2_S} {
			add(fmt.Sprintf("R21 dimension %d of %s", d, kind), tensors(32, info("t", kind, 0, 32, d)), "GGUF_BAD_DIM", `tensor "t"`, fmt.Sprint(d))
			add(fmt.Sprintf("R21 first dimension %d of %s", d, kind), tensors(32, info("t", kind, 0, d, 32)), "GGUF_BAD_DIM", "dimension 0")
		}
	}
	for _, dims := range [][]u64{{1 << 32, 1 << 32}, {1 << 40, 1 << 40}, {1<<63 - 1, 1<<63 - 1, 1<<63 - 1, 1<<63 - 1}} {
		add(fmt.Sprint("R22 dimensions ", dims), tensors(32, info("t", F32, 0, dims...)), "GGUF_SIZE_OVERFLOW", `tensor "t"`)
	}
	add("R23 elements fit, bytes do not", tensors(32, info("t", F32, 0, 1<<62)), "GGUF_SIZE_OVERFLOW", `tensor "t"`, "bytes")
	const near = 0x7FFFFFFFFFFFFFC0 // twice this wraps
	add("R24 sizes whose sum wraps", tensors(64, info("a", F32, 0, near/4), info("b", F32, near, near/4)), "GGUF_TENSOR_PAST_EOF", `tensor "a"`)

	for id, name := range map[Type]string{
		1<<32 - 1: "type 4294967295", 255: "type 255", 1 << 31: "type 2147483648", 37: "type 37 (the removed IQ4_NL_4_8", 41: "type 41",
		4: "type 4 (the removed Q4_2", 5: "type 5 (the removed Q4_3", 12: "type 12 (Q4_K)", 39: "type 39 (MXFP4)",
		31: "type 31 (the removed Q4_0_4_4", 32: "type 32 (the removed Q4_0_4_8", 33: "type 33 (the removed Q4_0_8_8",
	} {
		add(fmt.Sprint("R25 type ", uint32(id)), tensors(64, info("t", id, 0, 32)), "GGUF_UNKNOWN_TYPE", `tensor "t"`, name, "this build reads F32")
	}
	add("R26 type 38", tensors(64, info("t", 38, 0, 32)), "GGUF_AMBIGUOUS_TYPE", "TL1")
	for _, architecture := range []string{"bitnet", "bitnet-b1.58", "bitnet-25"} {
		metadata := [][]byte{build("general.architecture", String, architecture)}
		add("R26 type 39 in "+architecture, tensorsOf(64, metadata, info("t", 39, 0, 32)), "GGUF_AMBIGUOUS_TYPE", "TL2", "MXFP4")
	}
	for _, fileType := range []u32{39, 40, 41, 1024 + 40} {
		metadata := [][]byte{build("general.architecture", String, "llama"), build("general.file_type", Uint32, fileType)}
		add(fmt.Sprint("R26 type 39 in a file of type ", fileType), tensorsOf(64, metadata, info("t", 39, 0, 32)), "GGUF_AMBIGUOUS_TYPE", "TL2")
	}

	add("R27 row of 31", tensors(64, info("t", Q8_0, 0, 31)), "GGUF_BAD_ROW", `tensor "t"`, "32")
	add("R27 row of 16, 32 weights", tensors(64, info("t", Q4_0, 0, 16, 2)), "GGUF_BAD_ROW")
	add("R27 row of 128 for TQ2_0", tensors(512, info("t", TQ2_0, 0, 128, 2)), "GGUF_BAD_ROW", "256")
	add("R27 I2_S of 192 weights", tensors(512, info("t", I2_S, 0, 96, 2)), "GGUF_BAD_ROW", "elements", "128")

	add("R29 offset not aligned", tensors(64, info("t", F32, 8, 1)), "GGUF_BAD_OFFSET", `tensor "t"`, "offset 8", "32")
	add("R29 offset 2^64-1", tensors(64, info("t", F32, 1<<64-1, 1)), "GGUF_BAD_OFFSET")
	add("R29 offset and size wrap", tensors(64, info("t", F32, 1<<64-32, 16)), "GGUF_BAD_OFFSET")
	add("R29 offset far away", tensors(64, info("t", F32, 1<<63, 1)), "GGUF_TENSOR_PAST_EOF")
	add("R29 one byte past the end", tensors(35, info("a", F32, 0, 8), info("t", F32, 32, 1)), "GGUF_TENSOR_PAST_EOF", `tensor "t"`, "1 bytes")
	add("R30 overlap by one byte", tensors(128, info("a", Q8_0, 0, 32), info("b", F32, 32, 8)), "GGUF_TENSOR_OVERLAP", `"a"`, `"b"`)
	add("R30 aliases", tensors(64, info("a", F32, 0, 8), info("b", F32, 0, 8)), "GGUF_TENSOR_OVERLAP", `"a"`, `"b"`)
	add("R30 one inside another, out of order", tensors(256, info("in", F32, 64, 1), info("out", F32, 0, 40)), "GGUF_TENSOR_OVERLAP", `"in"`, `"out"`)
	add("R31 data cut by one byte", tensors(1023, info("t", F32, 0, 256)), "GGUF_TENSOR_PAST_EOF", `tensor "t"`, "1 bytes")
	add("R31 I2_S cut by one byte", tensors(95, info("t", I2_S, 0, 256)), "GGUF_TENSOR_PAST_EOF", `tensor "t"`, "1 bytes")
	add("R31 I2_S without its scale", tensors(64, info("t", I2_S, 0, 256)), "GGUF_TENSOR_PAST_EOF", `tensor "t"`, "the scale behind its codes")
	add("R31 I2_S without scale and codes", tensors(63, info("t", I2_S, 0, 256)), "GGUF_TENSOR_PAST_EOF", "its data")
	add("too many tensors", build(raw("GGUF"), u32(3), u64(70_000), u64(0), zeros(70_000*25)), "GGUF_LIMIT_TENSORS", "70000", "65536")

	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { refused(t, r.file, r.code, r.words...) })
	}
}

// manyEntries is n entries "k0", "k1", ... of one byte each.
func manyEntries(n int) (b []byte) {
	for i := range n {
		b = append(b, build(fmt.Sprint("k", i), Uint8, u8(1))...)
	}
	return b
}

// mediumArrays is a file of 9 arrays of 16 MB.
func mediumArrays() []byte {
	const n = 16_000_000
	b := make([]byte, 0, 9*(n+64))
	b = append(b, build(raw("GGUF"), u32(3), u64(0), u64(9))...)
	for i := range 9 {
		b = append(b, build(fmt.Sprint("array.", i), Array, Uint8, u64(n))...)
		b = b[:len(b)+n] // zeros
	}
	return b
}

func TestPrefixes(t *testing.T) {
	whole := tensorsOf(128, [][]byte{
		build("general.architecture", String, "llama"), build("k.f64", Float64, 1.5), build("k.names", Array, String, u64(2), "ab", "c"),
	}, info("a", Q8_0, 0, 32), info("b", F32, 64, 9))
	f, err := Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	dataEnd := int(f.DataOffset + f.end)
	strings := bytes.Index(whole, build("ab")) // the elements of k.names: fewer bytes than they need at least are a count too large (R14)

	t.Run("R1 every prefix", func(t *testing.T) {
		for n := 1; n < dataEnd; n++ {
			code := "GGUF_TENSOR_PAST_EOF"
			switch {
			case n < 4:
				code = "GGUF_NOT_GGUF"
			case n >= strings && n < strings+16:
				code = "GGUF_COUNT_EXCEEDS_FILE"
			case n < int(f.infosEnd):
				code = "GGUF_TRUNCATED"
			}
			refused(t, whole[:n], code)
			if t.Failed() {
				t.Fatalf("prefix of %d bytes", n)
			}
		}
		refused(t, nil, "FILE_EMPTY")
	})
	t.Run("R1 the final padding is missing", func(t *testing.T) {
		for n := dataEnd; n < len(whole); n++ {
			if _, err := Parse(whole[:n]); err != nil {
				t.Errorf("%d bytes of %d: %v", n, len(whole), err)
			}
		}
	})
}

func TestLimitsAreReachable(t *testing.T) {
	read := func(t *testing.T, file []byte) (f *File) {
		t.Helper()
		cheaply(t, len(file), func() {
			var err error
			if f, err = Read(bytes.NewReader(file), int64(len(file))); err != nil {
				t.Fatal(err)
			}
		})
		return f
	}
	t.Run("R7 65 536 entries", func(t *testing.T) {
		if f := read(t, entries(65536, manyEntries(65536))); len(f.Metadata.All()) != 65536 {
			t.Errorf("%d entries", len(f.Metadata.All()))
		}
	})
	t.Run("R6 65 536 tensors", func(t *testing.T) {
		infos := make([][]byte, 65536)
		for i := range infos {
			infos[i] = info(fmt.Sprint("t", i), F32, u64(32*i), 1, 1, 1, 8)
		}
		if f := read(t, tensors(32*len(infos), infos...)); len(f.Tensors) != 65536 {
			t.Errorf("%d tensors", len(f.Tensors))
		}
	})
	t.Run("R8 key of 65 535 bytes", func(t *testing.T) {
		key := strings.Repeat("k", 65535)
		if f := read(t, entry(key, Uint8, u8(7))); !f.Metadata.Has(key) {
			t.Error("the key is missing")
		}
	})
	t.Run("R11 string of 16 MiB", func(t *testing.T) {
		f := read(t, entry("k", String, u64(16<<20), zeros(16<<20)))
		if s, _, err := Value[string](f.Metadata, "k"); err != nil || len(s) != 16<<20 {
			t.Errorf("%d bytes, %v", len(s), err)
		}
	})
	t.Run("R26 type 36 without wf's marker is I2_S", func(t *testing.T) {
		f := read(t, tensors(96, info("t", 36, 0, 256)))
		if got := f.Tensors[0]; got.Type != I2_S || got.Size != 96 {
			t.Errorf("read as %+v", got)
		}
	})
	t.Run("R28 alignments 8 and 65536", func(t *testing.T) {
		for _, a := range []u32{8, 65536} {
			if f := read(t, entry("general.alignment", Uint32, a)); f.Alignment != u64(a) {
				t.Errorf("alignment %d, want %d", f.Alignment, a)
			}
		}
	})
	t.Run("I2_S whose blocks straddle rows", func(t *testing.T) {
		if f := read(t, tensors(128, info("t", I2_S, 0, 64, 4))); f.Tensors[0].Size != 96 {
			t.Errorf("%d bytes", f.Tensors[0].Size)
		}
	})
	t.Run("version 2, a gap, tensors out of order", func(t *testing.T) {
		file := tensors(256, info("late", F32, 128, 8), info("early", F32, 0, 8))
		file[4] = 2
		if f := read(t, file); f.Version != 2 || f.Trailing != 96 {
			t.Errorf("version %d, %d trailing bytes", f.Version, f.Trailing)
		}
	})
	t.Run("a vocabulary costs few allocations", func(t *testing.T) {
		const n = 128_000
		var tokens []byte
		for i := range n {
			tokens = append(tokens, build(fmt.Sprint("token", i))...)
		}
		file := entry("tokens", Array, String, u64(n), tokens)
		read(t, file)
		if allocs := testing.AllocsPerRun(1, func() { Read(bytes.NewReader(file), int64(len(file))) }); allocs > 200 {
			t.Errorf("%.0f allocations for %d strings", allocs, n)
		}
	})
}

// oneByte reads a byte at a time.
type oneByte struct{ io.ReaderAt }

func (r oneByte) ReadAt(p []byte, off int64) (int, error) {
	return r.ReaderAt.ReadAt(p[:min(len(p), 1)], off)
}

// failing reads up to a byte and no further.
type failing struct {
	file []byte
	at   int64
	err  error
}

func (r failing) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.at {
		return 0, r.err
	}
	n := copy(p, r.file[off:r.at])
	if n < len(p) {
		return n, r.err
	}
	return n, nil
}

func TestReaders(t *testing.T) {
	file := everything(t)
	size := int64(len(file))
	want, err := Read(bytes.NewReader(file), size)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("R36 a byte at a time", func(t *testing.T) {
		got, err := Read(oneByte{bytes.NewReader(file)}, size)
		if err != nil {
			t.Fatal(err)
		}
		got.r, want.r = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
	t.Run("R36 EIO in the middle", func(t *testing.T) {
		for at := range int64(want.infosEnd) {
			_, err := Read(failing{file, at, syscall.EIO}, size)
			if fault.Code(err) != "IO_ERROR" || !errors.Is(err, syscall.EIO) {
				t.Fatalf("at byte %d: [%s] %v", at, fault.Code(err), err)
			}
		}
	})
	t.Run("R36 the reader's own code is kept", func(t *testing.T) {
		_, err := Read(failing{file, 100, fault.New("FILE_CHANGED", "f: changed")}, size)
		if fault.Code(err) != "FILE_CHANGED" {
			t.Errorf("[%s] %v", fault.Code(err), err)
		}
	})
	t.Run("R36 io.ErrUnexpectedEOF in the middle", func(t *testing.T) {
		for at := range int64(want.infosEnd) {
			if _, err := Read(failing{file, at, io.ErrUnexpectedEOF}, size); fault.Code(err) != "GGUF_TRUNCATED" {
				t.Fatalf("at byte %d: [%s] %v", at, fault.Code(err), err)
			}
		}
	})
}
