package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"

	"github.com/wrinklefree/wf/gguf/fault"
)

// one is the header of one F32 tensor of 4 bytes, with replacements.
func one(old, new string) string {
	const header = `{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	if !strings.Contains(header, old) {
		panic(old)
	}
	return strings.Replace(header, old, new, 1)
}

func TestSafetensorsRefused(t *testing.T) {
	length := func(n uint64) []byte { return le.AppendUint64(nil, n) }
	four := []byte{0, 0, 128, 63}
	for _, test := range []struct {
		name, code string
		file       []byte
	}{
		{"R54 7 bytes", "ST_TRUNCATED", make([]byte, 7)},
		{"R54 N = 0", "ST_TRUNCATED", make([]byte, 64)},
		{"R54 N = size-7", "ST_TRUNCATED", append(length(9), make([]byte, 8)...)},
		{"R54 N = 2^63", "ST_HEADER_TOO_LARGE", append(length(1<<63), "{}"...)},
		{"R54 N = 2^64-1", "ST_HEADER_TOO_LARGE", append(length(math.MaxUint64), "{}"...)},
		{"R54 N = 100 000 001", "ST_HEADER_TOO_LARGE", append(length(maxHeader+1), "{}"...)},
		{"R54 N beyond the end, below the limit", "ST_TRUNCATED", append(length(maxHeader), "{}"...)},

		{"R55 not UTF-8", "ST_BAD_HEADER", st(one("w", "\xff"), four...)},
		{"R55 not UTF-8 in metadata", "ST_BAD_HEADER", st(`{"__metadata__":{"a":"` + "\xc3\x28" + `"}}`)},
		{"R55 lone surrogate", "ST_BAD_HEADER", st(one("w", `\ud800`), four...)},
		{"R55 lone low surrogate", "ST_BAD_HEADER", st(one("w", `\udc00`), four...)},
		{"R55 surrogate and letter", "ST_BAD_HEADER", st(one("w", `\ud800A`), four...)},
		{"R55 bad escape", "ST_BAD_HEADER", st(one("w", `\x41`), four...)},
		{"R55 bad hexadecimal", "ST_BAD_HEADER", st(one("w", `\u00g1`), four...)},
		{"R55 control character", "ST_BAD_HEADER", st(one("w", "\n"), four...)},
		{"R55 a tensor that is no object", "ST_BAD_HEADER", st(one(`{"dtype`, `["dtype`), four...)},
		{"R55 metadata that is no object", "ST_BAD_METADATA", st(`{"__metadata__":["a":"b"}}`)},
		{"R55 not JSON", "ST_BAD_HEADER", st("hello")},
		{"R55 null", "ST_BAD_HEADER", st("null")},
		{"R55 array", "ST_BAD_HEADER", st("[]")},
		{"R55 bracket", "ST_BAD_HEADER", st("[ ")},
		{"R55 NUL padding", "ST_BAD_HEADER", st(one("w", "w")+"\x00\x00", four...)},
		{"R55 two values", "ST_BAD_HEADER", st("{}{}")},
		{"R55 trailing comma", "ST_BAD_HEADER", st(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}`, four...)},
		{"R55 leading comma", "ST_BAD_HEADER", st(`{,}`)},
		{"R55 cut off", "ST_BAD_HEADER", st(`{"w":{"dtype":"F32"`)},
		{"R55 cut off in a string", "ST_BAD_HEADER", st(`{"w`)},
		{"R55 entry is a number", "ST_BAD_HEADER", st(`{"w":1}`)},
		{"R55 entry is nested", "ST_BAD_HEADER", st(`{"w":{"dtype":{"a":[]}}}`)},
		{"R55 a number of 65 characters", "ST_BAD_HEADER", st(one("[1]", "["+strings.Repeat("1", 65)+"]"), four...)},
		{"R55 number with a leading zero", "ST_BAD_HEADER", st(one("[1]", "[01]"), four...)},
		{"R55 name of 64 KiB", "ST_BAD_HEADER", st(one("w", strings.Repeat("w", maxText+1)), four...)},
		{"R55 17 dimensions", "ST_BAD_HEADER", st(one("[1]", "[1"+strings.Repeat(",1", maxDims)+"]"), four...)},

		{"R56 duplicate name", "ST_DUPLICATE_KEY", st(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"R56 duplicate name behind an escape", "ST_DUPLICATE_KEY",
			st(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0077":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, four...)},
		{"R56 duplicate __metadata__", "ST_DUPLICATE_KEY", st(`{"__metadata__":{},"__metadata__":{}}`)},
		{"R56 duplicate key in __metadata__", "ST_DUPLICATE_KEY", st(`{"__metadata__":{"a":"1","a":"2"}}`)},
		{"R56 duplicate dtype", "ST_DUPLICATE_KEY", st(one(`"shape"`, `"dtype":"I32","shape"`), four...)},
		{"R56 equal after folding", "ST_BAD_HEADER",
			st(`{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\ufffd":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 1, 2)},
		{"R56 DType", "ST_BAD_HEADER", st(one("dtype", "DType"), four...)},
		{"R56 unknown key", "ST_BAD_HEADER", st(one(`"shape"`, `"stride":[1],"shape"`), four...)},
		{"R56 no dtype", "ST_BAD_HEADER", st(one(`"dtype":"F32",`, ""), four...)},
		{"R56 no shape", "ST_BAD_HEADER", st(one(`"shape":[1],`, ""), four...)},
		{"R56 shape is a string", "ST_BAD_HEADER", st(one("[1]", `"1"`), four...)},
		{"R56 dimension is negative", "ST_BAD_HEADER", st(one("[1]", "[-1]"), four...)},
		{"R56 dimension is a float", "ST_BAD_HEADER", st(one("[1]", "[1.0]"), four...)},
		{"R56 dimension is null", "ST_BAD_HEADER", st(one("[1]", "[null]"), four...)},

		{"R57 number in metadata", "ST_BAD_METADATA", st(`{"__metadata__":{"a":1}}`)},
		{"R57 object in metadata", "ST_BAD_METADATA", st(`{"__metadata__":{"a":{}}}`)},
		{"R57 metadata is null", "ST_BAD_METADATA", st(`{"__metadata__":null}`)},
		{"R57 1 000 000 metadata keys", "ST_LIMIT", st(`{"__metadata__":{` + repeat(1_000_000, `"%d":""`) + `}}`)},

		{"R58 missing", "ST_BAD_OFFSETS", st(one(`,"data_offsets":[0,4]`, ""), four...)},
		{"R58 none", "ST_BAD_OFFSETS", st(one("[0,4]", "[]"), four...)},
		{"R58 one", "ST_BAD_OFFSETS", st(one("[0,4]", "[0]"), four...)},
		{"R58 three", "ST_BAD_OFFSETS", st(one("[0,4]", "[0,4,4]"), four...)},
		{"R58 float", "ST_BAD_OFFSETS", st(one("[0,4]", "[0,4.0]"), four...)},
		{"R58 exponent", "ST_BAD_OFFSETS", st(one("[0,4]", "[0,4e0]"), four...)},
		{"R58 negative", "ST_BAD_OFFSETS", st(one("[0,4]", "[-4,0]"), four...)},
		{"R58 minus zero", "ST_BAD_OFFSETS", st(one("[0,4]", "[-0,4]"), four...)},
		{"R58 string", "ST_BAD_OFFSETS", st(one("[0,4]", `["0","4"]`), four...)},
		{"R58 object", "ST_BAD_OFFSETS", st(one("[0,4]", `{"0":4}`), four...)},
		{"R58 2^64", "ST_BAD_OFFSETS", st(one("[0,4]", "[0,18446744073709551616]"), four...)},
		{"R58 begin behind end", "ST_BAD_OFFSETS", st(one("[0,4]", "[4,0]"), four...)},

		{"R59 hole", "ST_HOLE", st(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}`, four...)},
		{"R59 hole before the first", "ST_HOLE", st(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`, four...)},
		{"R59 overlap of one byte", "ST_OVERLAP", st(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}}`, four...)},
		{"R59 100 000 tensors over the same bytes", "ST_OVERLAP", st("{"+repeat(100_000, `"t%d":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`)+"}", four...)},

		{"R60 end beyond file", "ST_TRUNCATED", st(one("w", "w"), 0, 0, 128)},
		{"R60 bytes after the last tensor", "ST_TRAILING_DATA", append(st(one("w", "w"), four...), zipOf(item{name: "a"})...)},
		{"R60 bytes and no tensor", "ST_TRAILING_DATA", st("{}", four...)},

		{"R61 shape does not match", "ST_SIZE_MISMATCH", st(one("[1]", "[2]"), four...)},
		{"R61 dtype does not match", "ST_SIZE_MISMATCH", st(one("F32", "BF16"), four...)},
		{"R61 [2, 2^64-2]", "ST_SIZE_OVERFLOW", st(one("[1]", "[2,18446744073709551614]"), four...)},
		{"R61 [2, 2^63-1]", "ST_SIZE_OVERFLOW", st(one("[1]", "[2,9223372036854775807]"), four...)},
		{"R61 2^62 elements of 4 bytes", "ST_SIZE_OVERFLOW", st(one("[1]", "[4611686018427387904]"), four...)},
		{"R61 overflow times zero", "ST_SIZE_OVERFLOW", st(one("[1]", "[9223372036854775807,4,0]"), four...)},
		{"R61 sub-byte dtype with an odd count", "ST_SIZE_MISMATCH", st(`{"w":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}`, 1)},
		{"R61 sub-byte dtype of a wrong size", "ST_SIZE_MISMATCH", st(`{"w":{"dtype":"F4","shape":[4],"data_offsets":[0,4]}}`, four...)},

		{"R62 unknown dtype", "ST_UNSUPPORTED_DTYPE", st(one("F32", "F33"), four...)},
		{"R62 F8_E8M0", "ST_UNSUPPORTED_DTYPE", st(`{"w":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[0,4]}}`, four...)},
		{"R62 C64", "ST_UNSUPPORTED_DTYPE", st(`{"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}`, counting(8)...)},
		{"R62 F4", "ST_UNSUPPORTED_DTYPE", st(`{"w":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}`, four...)},
		{"R62 hostile dtype", "ST_UNSUPPORTED_DTYPE", st(one("F32", `\u001b[31m`+strings.Repeat("F", 1000)), four...)},
		{"R62 hostile dtype and name", "ST_UNSUPPORTED_DTYPE", st(`{"`+strings.Repeat("n", 1000)+`":{"dtype":"`+strings.Repeat("F", 1000)+`","shape":[],"data_offsets":[0,4]}}`, four...)},

		{"no tensors", "CKPT_NO_TENSORS", st("{}")},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := refused(t, write(t, "model.safetensors", test.file), test.code)
			if test.code == "ST_UNSUPPORTED_DTYPE" && !strings.Contains(err.Error(), "F64 F32 F16 BF16 ") {
				t.Errorf("the supported types are not listed: %v", err)
			}
		})
	}
	t.Run("R55 100 MB of nested brackets", func(t *testing.T) {
		const begin = `{"w":{"shape":[`
		file := append(length(maxHeader), begin...)
		refused(t, write(t, "model.safetensors", append(file, bytes.Repeat([]byte("["), maxHeader-len(begin))...)), "ST_BAD_HEADER")
	})
}

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestSafetensorsAccepted(t *testing.T) {
	t.Run("R63 scalar, empty tensor, leading white space", func(t *testing.T) {
		c, data := accepted(t, write(t, "model.safetensors", st(" \n\t"+`{ "e" : {"shape":[0,4],"data_offsets":[4,4],"dtype":"F16"},
			"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]} , "__metadata__": {"format":"pt"} } `, 1, 2, 3, 4)))
		s, _ := c.Tensor("s")
		e, _ := c.Tensor("e")
		if len(c.Tensors) != 2 || len(s.Shape) != 0 || s.Elements() != 1 || string(data["s"]) != "\x01\x02\x03\x04" || e.Elements() != 0 || e.Size() != 0 ||
			!slices.Equal(e.Shape, []uint64{0, 4}) || e.SharesStorage(e) {
			t.Errorf("%+v %+v %v", s, e, data)
		}
	})
	t.Run("names are Unicode after escapes", func(t *testing.T) {
		_, data := accepted(t, write(t, "model.safetensors", st(one("w", `\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t`), 1, 2, 3, 4)))
		if _, ok := data["é😀\n\"\\/\b\f\r\t"]; !ok {
			t.Error(slices.Collect(maps.Keys(data)))
		}
	})
	t.Run("a long metadata value", func(t *testing.T) {
		accepted(t, write(t, "model.safetensors", st(`{"__metadata__":{"ss":"`+strings.Repeat("é", 1<<20)+`"},`+one("w", "w")[1:], 1, 2, 3, 4)))
	})
	t.Run("every type", func(t *testing.T) {
		views := map[string]safetensors.TensorView{}
		for _, d := range []DType{F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, Bool} {
			view, err := safetensors.NewTensorView(safetensors.DType(d), []uint64{2, 3}, counting(6*d.Size()))
			if err != nil {
				t.Fatal(err)
			}
			views[d.String()] = view
		}
		file, err := safetensors.Serialize(views, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, data := accepted(t, write(t, "model.safetensors", file))
		for _, x := range c.Tensors {
			if x.DType.String() != x.Name || !bytes.Equal(data[x.Name], counting(6*x.DType.Size())) {
				t.Errorf("%s: %v", x.Name, x.DType)
			}
		}
		if len(c.Tensors) != len(views) || c.Format != "safetensors" {
			t.Errorf("%d tensors, format %s", len(c.Tensors), c.Format)
		}
	})
	t.Run("what is written is read", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		fill := func(data []byte) func(w io.Writer) error {
			return func(w io.Writer) error { _, err := w.Write(data); return err }
		}
		err = WriteSafetensors(f, []Output{{"b", F32, []uint64{2}, fill(counting(8))}, {"a", U8, nil, fill([]byte{9})}})
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		_, data := accepted(t, path)
		if !bytes.Equal(data["b"], counting(8)) || !bytes.Equal(data["a"], []byte{9}) {
			t.Error(data)
		}
		if err := WriteSafetensors(io.Discard, []Output{{"a", F32, []uint64{1 << 62}, nil}}); fault.Code(err) != "ST_SIZE_OVERFLOW" {
			t.Error(err)
		}
		if err := WriteSafetensors(io.Discard, []Output{{"a", F32, []uint64{1}, fill(counting(5))}}); err == nil {
			t.Error("5 bytes were taken for a float32")
		}
		if err := WriteSafetensors(failing{}, nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}

// TestLibraryHoles shows that each rule the package documentation says the library does not hold is still ours to hold.
func TestLibraryHoles(t *testing.T) {
	for name, file := range map[string][]byte{
		"null":                  st("null"),
		"duplicate name":        st(`{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"duplicate dtype":       st(one(`"shape"`, `"dtype":"I32","shape"`), 1, 2, 3, 4),
		"bad UTF-8 is folded":   st(one("w", "\xff"), 1, 2, 3, 4),
		"surrogates are folded": st(`{"\ud800":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"\ud801":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := safetensors.ReadMetadata(file); err != nil {
				t.Errorf("the library refuses it now: %v; then so may the check here go", err)
			}
			refused(t, write(t, "model.safetensors", file), "ST_BAD_HEADER", "ST_DUPLICATE_KEY")
		})
	}
}
