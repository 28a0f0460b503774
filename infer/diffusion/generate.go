package diffusion

import (
	"context"
	"time"

	"github.com/wrinklefree/wf/infer"
)

// Generate runs one request to its end: NewDecoder and Run.
func Generate(ctx context.Context, m Model, prompt []int32, o Options) (*Result, error) {
	d, err := NewDecoder(m, prompt, o)
	if err != nil {
		return nil, err
	}
	return d.Run(ctx, m)
}

// Run makes every pass of the request. Cancellation counts between passes; it and any other failure return the answer so far with the error.
func (d *Decoder) Run(ctx context.Context, m Model) (*Result, error) {
	for segment := d.Next(); segment != nil; segment = d.Next() {
		if err := ctx.Err(); err != nil {
			return d.Result(), err
		}
		began := time.Now()
		if err := m.Forward([]*infer.Segment{segment}); err != nil {
			return d.Result(), err
		}
		if err := d.Accept(); err != nil {
			return d.Result(), err
		}
		d.Took(time.Since(began))
	}
	return d.Result(), nil
}
