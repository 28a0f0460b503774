package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/diffusion"
)

// Metrics are counts since New, and what holds at the moment of the call.
type Metrics struct {
	// At the moment.
	Queued, QueuedTokens int    // requests that wait for their first answer to start, and their prompt tokens
	Running              int    // answers
	CacheBytes           uint64 // reserved for keys and values of running answers
	PrefixBytes          uint64 // kept for later requests
	Draining, Stalled    bool

	// Since New.
	Outcomes        map[string]uint64       // ended or refused requests: "completed", or the code of their error
	QueueSeconds    Histogram               // that requests waited for their first answer to start
	RequestSeconds  Histogram               // from Submit to the end, of completed requests
	PromptTokens    uint64                  // of answers that started; the prompt of three choices counts three times
	PrefixTokens    uint64                  // those of them that needed no pass, because keys and values were there
	PrefixHits      uint64                  // answers that began with such tokens
	PrefixMisses    uint64                  // the others, if there is a prefix cache
	PrefixEvictions uint64                  // pages dropped for lack of room
	NewTokens       uint64                  // of answers that ended, however
	DenoiseSteps    uint64                  // of the same answers; with a diffusion model, NewTokens over this is tokens per denoise step
	PassSeconds     Histogram               // of a pass with all that goes with it
	PassWidth       Histogram               // answers in a pass
	Segments        [diffusion.Kinds]uint64 // parts of passes, by what they were for
	Rows            [diffusion.Kinds]uint64 // their rows
	NumericErrors   uint64
	Panics          uint64
}

// completed is the outcome of a request without error.
const completed = "completed"

// Histogram counts observations. Counts[i] are those of at most Bounds[i] and more than the bound before; the last count, one more than there are
// bounds, is of those beyond.
type Histogram struct {
	Bounds []float64
	Counts []uint64
	Sum    float64
}

func newMetrics() Metrics {
	histogram := func(bounds ...float64) Histogram {
		return Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
	}
	seconds := func() Histogram {
		return histogram(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
	}
	return Metrics{
		Outcomes: map[string]uint64{}, QueueSeconds: seconds(), RequestSeconds: seconds(), PassSeconds: seconds(),
		PassWidth: histogram(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64),
	}
}

func (h *Histogram) observe(x float64) {
	i := 0
	for i < len(h.Bounds) && x > h.Bounds[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += x
}

func (h *Histogram) since(began time.Time) { h.observe(time.Since(began).Seconds()) }

func (h *Histogram) clone() Histogram {
	return Histogram{h.Bounds, slices.Clone(h.Counts), h.Sum}
}

func (m *Metrics) outcome(err error) {
	name := completed
	if err != nil {
		name = fault.Code(err)
	}
	m.Outcomes[name]++
}

// Metrics returns counts since New and what holds at the moment.
func (e *Engine) Metrics() Metrics {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.metrics
	m.Running, m.CacheBytes = len(e.running), uint64(e.pages-e.free)*e.model.PageBytes()
	m.Draining, m.Stalled = e.draining, e.stalled()
	m.Outcomes = maps.Clone(m.Outcomes)
	for _, h := range []*Histogram{&m.QueueSeconds, &m.RequestSeconds, &m.PassSeconds, &m.PassWidth} {
		*h = h.clone()
	}
	return m
}
