package quant

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

// i2sPlaces says, for each layout of FORMATS.md 2.7's table, in which byte and at which shift the code of a weight is: of weight i in a matrix
// whose rows have cols weights.
var i2sPlaces = map[string]func(i, cols int) (at, shift int){
	"128":     func(i, _ int) (int, int) { return i/128*32 + i%32, 6 - 2*(i%128/32) },
	"64":      func(i, _ int) (int, int) { return i/64*16 + i%16, 6 - 2*(i%64/16) },
	"rows4":   func(i, cols int) (int, int) { return i/cols/4*cols + i%cols, 6 - 2*(i/cols%4) },
	"seq-msb": func(i, _ int) (int, int) { return i / 4, 6 - 2*(i%4) },
	"seq-lsb": func(i, _ int) (int, int) { return i / 4, 2 * (i % 4) },
}

func layI2S(trits []int8, cols int, place func(i, cols int) (at, shift int)) []byte {
	data := make([]byte, len(trits)/4)
	for i, trit := range trits {
		at, shift := place(i, cols)
		data[at] |= byte(trit+1) << shift
	}
	return data
}

// TestLayouts reads files that lay out the same weights in each way, one of them with rows that straddle groups and more than one chunk.
func TestLayouts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, place := range i2sPlaces {
		t.Run("R26 --i2s-layout "+name, func(t *testing.T) {
			for _, dims := range [][]uint64{{512, 96}, {576, 640}, {96, 4}} {
				trits := randomTrits(rng, int(dims[0]*dims[1]))
				tail := I2STail(0.5)
				in := newModel().raw(query, gguf.I2_S, append(layI2S(trits, int(dims[0]), place), tail[:]...), dims...).write(t)
				o := types(gguf.I2_S)
				o.I2SLayout = name
				f, _ := run(t, in, o)
				want := make([]float32, len(trits))
				scaleTrits(want, trits, 0.5)
				sameBits(t, values(t, f, query), withoutNegativeZeros(want))
				if name != "128" {
					refused(t, f.Path, "USAGE", o) // this one says 128
				}

				bad := make([]int8, len(trits))
				at := rng.IntN(len(bad))
				bad[at] = 2
				data := append(layI2S(bad, int(dims[0]), place), tail[:]...)
				broken := newModel().raw(query, gguf.I2_S, data, dims...).write(t)
				refused(t, broken, "TENSOR_BAD_TERNARY_CODE", o)
				file := open(t, broken)
				v, err := Verify(context.Background(), file, VerifyOptions{I2SLayout: name})
				if err != nil {
					t.Fatal(err)
				}
				if found, place := v.Err(), fmt.Sprintf("row %d, column %d ", at/int(dims[0]), at%int(dims[0])); found == nil || !strings.Contains(found.Error(), place) {
					t.Errorf("%v: want %s", found, place)
				}
			}
		})
	}
	t.Run("rows4 of rows that are no fours", func(t *testing.T) {
		o := types(gguf.F16)
		o.I2SLayout = "rows4"
		refused(t, newModel().raw(query, gguf.I2_S, make([]byte, 128*3/4+32), 128, 3).write(t), "UNSUPPORTED_SHAPE", o)
	})
	t.Run("an unknown name", func(t *testing.T) {
		for _, name := range []string{"63", "4", "0", "1", "rows", "SEQ-MSB"} {
			if _, err := InputLayout(&gguf.Metadata{}, name); fault.Code(err) != "USAGE" || !strings.Contains(err.Error(), "rows4") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
