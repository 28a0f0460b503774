package gguf

import "testing"

// TestTypes holds the type table against FORMATS.md section 2, which was computed from ggml and bitnet.cpp.
func TestTypes(t *testing.T) {
	seen := 0
	for _, c := range []struct {
		name          string
		id            Type
		block, bytes  uint64
		bitsPerWeight float64
		fileType      uint32
		size          uint64 // of a tensor [out 640, in 2560]
	}{
		{"F32", 0, 1, 4, 32, 0, 6553600},
		{"F16", 1, 1, 2, 16, 1, 3276800},
		{"Q4_0", 2, 32, 18, 4.5, 2, 921600},
		{"Q8_0", 8, 32, 34, 8.5, 7, 1740800},
		{"Q6_K", 14, 256, 210, 6.5625, 18, 1344000},
		{"BF16", 30, 1, 2, 16, 32, 3276800},
		{"TQ1_0", 34, 256, 54, 1.6875, 36, 345600},
		{"TQ2_0", 35, 256, 66, 2.0625, 37, 422400},
		{"I2_S", 36, 128, 32, 2, 40, 409632},
	} {
		seen++
		id, ok := ParseType(c.name)
		if !ok || id != c.id || id.String() != c.name {
			t.Errorf("%s: id %d, %v; want %d", c.name, uint32(id), ok, uint32(c.id))
			continue
		}
		if id.BlockSize() != c.block || id.BlockBytes() != c.bytes || id.FileType() != c.fileType {
			t.Errorf("%s: %d weights in %d bytes, file type %d", id, id.BlockSize(), id.BlockBytes(), id.FileType())
		}
		if got := float64(id.BlockBytes()) * 8 / float64(id.BlockSize()); got != c.bitsPerWeight {
			t.Errorf("%s: %g bits a weight, want %g", id, got, c.bitsPerWeight)
		}
		if got, ok := id.ByteSize([]uint64{2560, 640}); !ok || got != c.size {
			t.Errorf("%s: %d bytes, want %d", id, got, c.size)
		}
	}
	if seen != len(layouts) {
		t.Errorf("the table has %d types, this test %d", len(layouts), seen)
	}
	for dims, want := range map[[2]uint64]uint64{ // [in, out]: FORMATS.md 2.7
		{576, 576}: 82976, {576, 192}: 27680, {576, 1536}: 221216, {2560, 2560}: 1638432, {2560, 6912}: 4423712,
	} {
		if got, ok := I2_S.ByteSize(dims[:]); !ok || got != want || !I2_S.Fits(dims[:]) {
			t.Errorf("I2_S %v: %d bytes, want %d", dims, got, want)
		}
	}
	if _, ok := ParseType("i2_S"); !ok {
		t.Error("type names are read in any case")
	}
}
