package gguf

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// FuzzReader holds two promises: bad bytes are an error with a code and nothing worse, and what is read can be written and read again.
func FuzzReader(f *testing.F) {
	f.Add(everything(f))
	f.Add(write(f, metadata("general.architecture", "llama"), TensorInfo{Name: "t", Type: F32, Dims: []uint64{3, 2}}))
	f.Add(tensors(256, info("late", I2_S, 128, 64, 2), info("early", Q8_0, 0, 32)))
	f.Add(entry("general.alignment", Uint32, u32(64)))
	f.Add(entry("k", Array, String, u64(3), "a", "", "c"))
	f.Add(entry("k", Array, Array, u64(1), Uint8, u64(1), u8(1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			if fault.Code(err) == "" || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("error without a code or with raw text: [%s] %q", fault.Code(err), err)
			}
			return
		}
		for i := range file.Tensors {
			info := &file.Tensors[i]
			if got := file.Bytes(info); uint64(len(got)) != info.Size {
				t.Errorf("%s: %d bytes of %d", info.Name, len(got), info.Size)
			}
		}
		file.DirtyPadding()
		again, err := Parse(write(t, file.Metadata, file.Tensors...))
		if err != nil {
			t.Fatal(err)
		}
		sameMetadata(t, again.Metadata, file.Metadata)
		for i, got := range again.Tensors {
			want := file.Tensors[i]
			if got.Offset = want.Offset; !reflect.DeepEqual(got, want) { // a gap is not written again
				t.Errorf("tensor %+v, want %+v", got, want)
			}
		}
	})
}

// FuzzMetadata writes values of every kind and reads them back.
func FuzzMetadata(f *testing.F) {
	f.Add("k", "text", "\xff", uint64(1<<63), -1.5, true, []byte{1, 2, 3})
	f.Add("general.alignment", "", "", uint64(64), 0.0, false, []byte{})
	f.Add("", "a", "b", uint64(0), 1e300, false, []byte{0})
	f.Fuzz(func(t *testing.T, key, a, b string, n uint64, x float64, yes bool, list []byte) {
		m := metadata(
			key, uint32(n), key+".8", uint8(n), key+".i8", int8(n), key+".16", uint16(n), key+".i16", int16(n), key+".i32", int32(n), key+".64", n,
			key+".i64", int64(n), key+".f32", float32(x), key+".f64", x, key+".bool", yes, key+".text", a, key+".texts", []string{a, b, ""},
			key+".list", list, key+".bools", []bool{yes, !yes}, key+".floats", []float64{x, 0}, key+".longs", []uint64{n, n + 1},
		)
		var file memory
		if _, err := NewWriter(&file, m, nil); err != nil {
			if fault.Code(err) == "" {
				t.Errorf("error without a code: %v", err)
			}
			return
		}
		read, err := Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		sameMetadata(t, read.Metadata, m)
	})
}

// sameMetadata compares keys and stored bytes, in order: a NaN equals itself.
func sameMetadata(t *testing.T, got, want *Metadata) {
	t.Helper()
	if len(got.All()) != len(want.All()) {
		t.Fatalf("%d entries, want %d", len(got.All()), len(want.All()))
	}
	for i, w := range want.All() {
		if g := got.All()[i]; g.Key != w.Key || !bytes.Equal(appendValue(nil, g.Value), appendValue(nil, w.Value)) {
			t.Errorf("entry %+v, want %+v", g, w)
		}
	}
}
