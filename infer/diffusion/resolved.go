package diffusion

import "github.com/wrinklefree/wf/infer"

// Resolved returns the options with everything filled in that the model, its file and its dialect decide, for a record of what an answer was
// decoded by. Mode auto stays auto; an autoregressive model has no threshold. Errors are Validate's.
func (o Options) Resolved(c *infer.Config) (Options, error) {
	s, err := o.resolve(c)
	if err != nil {
		return Options{}, err
	}
	r := s.Options
	if s.auto {
		r.Mode = modeAuto
	}
	if c.Diffusion != nil {
		r.Threshold = &s.threshold
	}
	return r, nil
}
