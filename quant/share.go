package quant

import (
	"fmt"
	"io"

	"github.com/wrinklefree/wf/gguf"
)

// Share is what an I2_S tensor holds: its scale and how many of its weights are -1, 0 and +1.
type Share struct {
	Scale float32 `json:"scale"`
	Minus uint64  `json:"minus"`
	Zero  uint64  `json:"zero"`
	Plus  uint64  `json:"plus"`
}

func (s *Share) String() string {
	percent := func(n uint64) float64 { return 100 * float64(n) / float64(max(s.Minus+s.Zero+s.Plus, 1)) }
	return fmt.Sprintf("scale %.6g  -1 %.1f %%  0 %.1f %%  +1 %.1f %%", s.Scale, percent(s.Minus), percent(s.Zero), percent(s.Plus))
}

// ReadShare reads an I2_S tensor in the 128 layout and counts. Code 3 is a *CodeError; reading errors are the file's.
func ReadShare(f *gguf.File, t *gguf.TensorInfo) (*Share, error) {
	r := f.TensorReader(t)
	packed, trits := make([]byte, 1<<16), make([]int8, 1<<18)
	s, first := &Share{}, 0
	for left := t.Size - I2STailBytes; left > 0; {
		part := packed[:min(uint64(len(packed)), left)]
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, err
		}
		if err := UnpackI2S(trits[:4*len(part)], part); err != nil {
			return nil, fmt.Errorf("tensor %q, from weight %d: %w", t.Name, first, err)
		}
		var count [3]uint64
		for _, v := range trits[:4*len(part)] {
			count[v+1]++
		}
		s.Minus, s.Zero, s.Plus = s.Minus+count[0], s.Zero+count[1], s.Plus+count[2]
		left -= uint64(len(part))
		first += 4 * len(part)
	}
	var tail [I2STailBytes]byte
	if _, err := io.ReadFull(r, tail[:]); err != nil {
		return nil, err
	}
	s.Scale = I2SScale(tail[:])
	return s, nil
}
