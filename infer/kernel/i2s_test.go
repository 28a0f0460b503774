package kernel

import (
	"bytes"
	"testing"

	"github.com/wrinklefree/wf/quant"
)

func TestSetI2S(t *testing.T) {
	rng := newRand(t)
	for _, rows := range []int{1, 15, 16, 17, 32, 37} {
		const cols = 3 * I2SCols
		trits := make([]int8, rows*cols)
		for i := range trits {
			trits[i] = int8(rng.IntN(3) - 1)
		}
		want, err := NewTernary(rows, cols, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		for r := range rows {
			want.SetRow(r, trits[r*cols:][:cols])
		}
		got, _ := NewTernary(rows, cols, 1, nil)
		codes := guarded(t, quant.PackI2S(nil, trits))
		cut := min(16, rows) * cols / 4
		if !got.SetI2S(0, codes[:cut]) || cut < len(codes) && !got.SetI2S(16, codes[cut:]) {
			t.Errorf("%d rows: a code 3 is reported", rows)
		}
		if !bytes.Equal(got.data, want.data) {
			t.Errorf("%d rows: the bytes differ from SetRow's", rows)
		}
		for range 100 {
			at, shift := rng.IntN(len(codes)), rng.IntN(4)*2
			was := codes[at]
			codes[at] |= 3 << shift
			if got.SetI2S(0, codes) {
				t.Errorf("%d rows: code 3 at bit %d of byte %d is not reported", rows, shift, at)
			}
			codes[at] = was
		}
	}
}

func BenchmarkSetI2S(b *testing.B) {
	m, _ := NewTernary(benchRows, benchCols, 1, nil)
	codes := bytes.Repeat([]byte{0x18, 0x61, 0x52}, benchRows*benchCols/12)
	b.SetBytes(int64(len(codes)))
	for b.Loop() {
		m.SetI2S(0, codes)
	}
}
