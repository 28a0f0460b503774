package convert

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/wrinklefree/wf/convert/checkpoint"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// look reads as much of the weights as the plan depends on: the projections, until their kind is known (master weights to the end, for
// their mean), and the beginning of the other matrices.
func look(ctx context.Context, ckpt *checkpoint.Checkpoint, inv *Inventory, c *Config, o *Options) error {
	all, err := claim(inv, c)
	if err != nil {
		return err
	}
	pieces := all.ordered(c)
	found := make([]Values, len(pieces))
	l := looker{ckpt: ckpt, config: c, o: o, embedding: all[names.TokenEmbedding]}
	err = quant.Each(ctx, o.Threads, len(pieces), func(i int) error {
		s := scratches.Get().(*scratch)
		defer scratches.Put(s)
		var err error
		if found[i], err = l.look(ctx, pieces[i], s); err != nil {
			return fmt.Errorf("tensor %s: %w", fault.Quote(pieces[i].source.Name), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, p := range pieces {
		inv.Values[p.name] = found[i]
	}
	return nil
}

// glance is how many weights are looked at first: they tell the kind of most tensors.
const glance = 16 << 10

type looker struct {
	ckpt      *checkpoint.Checkpoint
	config    *Config
	o         *Options
	embedding *piece
}

func (l *looker) look(ctx context.Context, p *piece, s *scratch) (v Values, err error) {
	if !p.isMatrix() {
		return v, nil
	}
	t, _ := l.ckpt.Tensor(p.source.Name)
	if p.scale != nil {
		if v.WeightScale, err = l.scale(p, s); err != nil {
			return v, err
		}
	}
	switch {
	case p.isPacked():
		err = lookPacked(ctx, t, p, s, &v)
	default:
		err = l.lookFloats(ctx, t, p, s, &v)
	}
	if err == nil && p.part == names.Output {
		v.SameAsEmbed, err = l.sameAsEmbedding(ctx, t)
	}
	return v, err
}

// scale reads a weight_scale.
func (l *looker) scale(p *piece, s *scratch) (float32, error) {
	t, _ := l.ckpt.Tensor(p.scale.Name)
	x, err := s.floats(t, 0, 1)
	if err != nil {
		return 0, err
	}
	if v := x[0]; !(v >= 0x1p-126 && v <= 0x1p126) {
		return 0, fault.New("TENSOR_BAD_SCALE", "its weight_scale is %g; a scale is a positive number", v)
	}
	return x[0], nil
}

func (l *looker) lookFloats(ctx context.Context, t *checkpoint.Tensor, p *piece, s *scratch, v *Values) error {
	var (
		projection = quant.IsProjection(p.name)
		master     = isMaster(p, l.config, l.o)
		largest    = isAuto(l.o.Type)
		ternary    quant.Detector
		mean       quant.AbsMean
		zeros      uint64
	)
	v.Constant, v.Ternary = true, projection
	half, isHalf := halfType(t.DType)
	first, cols := float32(0), p.shape[1]
	from, total, done := p.first*cols, p.shape[0]*cols, uint64(0)
	for done < total && (v.Constant || v.Ternary || master && !isHalf || largest) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := min(chunk, total-done)
		if done == 0 {
			n = min(n, glance)
		}
		x, err := s.floats(t, from+done, n)
		if err != nil {
			return err
		}
		if done == 0 {
			first = x[0]
		}
		for i := 0; v.Constant && i < len(x); i++ {
			v.Constant = x[i] == first
		}
		if v.Ternary || projection && done == 0 {
			ternary.Add(x)
			v.Unit, v.Ternary = ternary.Ternary()
		}
		if v.Ternary {
			for _, w := range x {
				if w == 0 {
					zeros++
				}
			}
		}
		if master {
			mean.Add(x)
		}
		if largest {
			for _, w := range x {
				if a := float32(math.Abs(float64(w))); a > v.Max {
					v.Max = a
				}
			}
		}
		done += n
	}
	for master && done < total { // only the mean is open
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := min(chunk, total-done)
		raw, err := s.bytes(t, 2*(from+done), 2*n)
		if err != nil {
			return err
		}
		mean.AddHalves(half, raw)
		done += n
	}
	if master {
		if v.Mean = mean.Scale(); !(v.Mean <= math.MaxFloat32) {
			return notFinite(t, from, total, s)
		}
	}
	if v.Ternary {
		v.Density = float64(total-zeros) / float64(total)
	} else if projection {
		v.Residual = ternary.Residual()
	}
	return nil
}

// notFinite names the weight that makes a mean infinite or NaN.
func notFinite(t *checkpoint.Tensor, from, total uint64, s *scratch) error {
	finite := quant.Range{Type: gguf.F32}
	for done := uint64(0); done < total; done += chunk {
		x, err := s.floats(t, from+done, min(chunk, total-done))
		if err == nil {
			err = finite.Add(x)
		}
		if err != nil {
			return err
		}
	}
	return fault.New("RANGE_LOSS", "the mean of its weights is beyond float32")
}

func lookPacked(ctx context.Context, t *checkpoint.Tensor, p *piece, s *scratch, v *Values) error {
	var bytesOf [256]uint64
	total := t.Shape[0] * t.Shape[1]
	for done := uint64(0); done < total; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := min(4*chunk, total-done)
		raw, err := s.bytes(t, done, n)
		if err != nil {
			return err
		}
		for _, b := range raw {
			bytesOf[b]++
		}
		done += n
	}
	var codes [4]uint64
	for b, n := range bytesOf {
		for shift := 0; shift < 8; shift += 2 {
			codes[b>>shift&3] += n
		}
	}
	if codes[3] > 0 {
		row, err := firstBadRow(t, s)
		if err != nil {
			return err
		}
		return fault.New("TENSOR_BAD_TERNARY_CODE", "row %d has code 3, of %d in all; ternary codes are 0, 1 and 2", row, codes[3])
	}
	padding := 4*t.Shape[0] - p.shape[0] // rows of code 1 that fill the last bytes
	codes[1] -= min(codes[1], padding*t.Shape[1])
	count := codes[0] + codes[1] + codes[2]
	v.Ternary, v.Unit = true, 1
	v.Density = float64(codes[0]+codes[2]) / float64(count)
	v.Constant = max(codes[0], codes[1], codes[2]) == count
	return nil
}

// firstBadRow finds the first row with a code 3, row by row of what is unpacked.
func firstBadRow(t *checkpoint.Tensor, s *scratch) (uint64, error) {
	rows, cols := t.Shape[0], t.Shape[1]
	for quarter := range uint64(4) {
		for row := range rows {
			raw, err := s.bytes(t, row*cols, cols)
			if err != nil {
				return 0, err
			}
			for _, b := range raw {
				if b>>(2*quarter)&3 == 3 {
					return quarter*rows + row, nil
				}
			}
		}
	}
	return 0, nil
}

// sameAsEmbedding compares the head with the embedding: one storage, or equal bytes.
func (l *looker) sameAsEmbedding(ctx context.Context, head *checkpoint.Tensor) (bool, error) {
	embedding, _ := l.ckpt.Tensor(l.embedding.source.Name)
	if head.SharesStorage(embedding) {
		return true, nil
	}
	if head.DType != embedding.DType {
		return false, nil
	}
	var a, b scratch
	for done, total := uint64(0), uint64(head.Size()); done < total; {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		n := min(chunk, total-done)
		x, err := a.bytes(head, done, n)
		if err != nil {
			return false, err
		}
		y, err := b.bytes(embedding, done, n)
		if err != nil || !bytes.Equal(x, y) {
			return false, err
		}
		done += n
	}
	return true, nil
}
