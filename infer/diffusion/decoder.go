// Package diffusion decodes: block diffusion in both dialects of Fast-dLLM v2 and WrinkleFree, and plain autoregression.
//
// A block of positions starts as masks. Each denoise step is one forward pass over the block; where the model is confident enough its tokens are
// taken, and the step repeats until no mask is left:
//
//	prompt                        | block of 8, M is a mask
//	What is the capital of France | The M   M  M      M  is M M    after the 1st step: two positions were beyond the threshold
//	                              | The capital of France is Paris M   after the 2nd
//
// The two dialects differ in what a row sees (fast-dllm-v2: all of its own block; wrinklefree: what is before it), in where blocks start, and in
// which keys and values may be kept. DECODING.md states both exactly; fastdllm.go and wrinklefree.go follow it step by step.
//
// A Decoder is one request. It never runs the model: Next names the rows of the next pass and Accept reads their logits, so that one pass can
// serve many requests.
//
// Sources: Fast-dLLM v2, arXiv:2509.26328; WrinkleFree's dlm_server.
package diffusion

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
)

// Model is what a decoder needs of infer.Model; tests put a stub here.
type Model interface {
	Config() *infer.Config
	NewCacheFrom(prefix []*infer.Page, capacity int) (*infer.Cache, error)
	Forward(segments []*infer.Segment) error
}

// Result of a generation.
type Result struct {
	IDs          []int32 `json:"new_ids"`       // the stop token included; of Options.Infill, with what was given
	Text         string  `json:"text"`          // Options.Shown, and of the new ids, without stop token and stop string; "" without Options.Text
	FinishReason string  `json:"finish_reason"` // stop, length; "" before the end
	Seed         uint64  `json:"seed"`          // of the sampler, for a repetition
	Stats        Stats   `json:"stats"`
	Holes        []Hole  `json:"holes,omitempty"` // of Options.Infill

	Logprobs []TokenLogprob `json:"logprobs,omitempty"` // of IDs, with Options.Logprobs
}

// decoding is a way of choosing passes: a dialect, or plain autoregression.
type decoding interface {
	skip(n int)            // begins behind the first n positions, whose keys and values lie in the cache
	plan()                 // prepares the next pass with Decoder.pass and Decoder.want
	accept(guesses []Take) // acts on what the pass says of the wanted positions, which ascend
	final() int            // positions whose keys and values were computed from final tokens, as were all before them
}

// Decoder is one request's state machine: Next says which rows the next pass needs, Accept takes their logits.
//
// Masked is a state of a position, not an id: a mask token in the prompt is an ordinary token.
type Decoder struct {
	settings
	how       decoding
	cache     *infer.Cache
	vocab     int
	n0, limit int     // prompt tokens; positions of prompt and answer together at most
	given     int     // behind the last token that was given: from here on a stop token may be chosen, and ends the answer
	ids       []int32 // prompt, answer and the current block, with the mask token where it is masked
	masked    []bool  // whether a position waits to be filled in; as long as ids
	settled   int     // known positions with no mask before them, cut to limit and to the end of the answer
	finish    string  // why the answer ended; "" while it goes on
	err       error   // why it failed

	seg     infer.Segment // the next pass
	kind    Kind
	planned bool
	wanted  []int  // the position that each row of seg.Logits predicts
	guesses []Take // what they predict
	step    int    // denoise steps that the block has had

	sampler  *sampler
	adjust   *adjustments   // nil: none
	holes    []Hole         // of Options.Infill, filled in as far as they are settled
	sure     []float32      // confidences by position behind the prompt, with Options.Infill
	logprobs []TokenLogprob // by position behind the prompt, with Options.Logprobs
	reading  reading
	stats    Stats
}

// NewDecoder checks a request against the model and allocates its cache. Errors: every unusable option at once (BAD_OPTION), MODE_MISMATCH,
// INFILL_UNSUPPORTED, BAD_PROMPT, CONTEXT_LENGTH_EXCEEDED, and those of Model.NewCache.
func NewDecoder(m Model, prompt []int32, o Options) (*Decoder, error) {
	c := m.Config()
	s, err := o.resolve(c)
	if err != nil {
		return nil, err
	}
	if err := s.CheckPrompt(prompt, c.Vocab); err != nil {
		return nil, err
	}
	for _, setting := range o.Unused(c) {
		s.Warn(setting + " has no effect in " + manner(c))
	}
	d := &Decoder{settings: *s, vocab: c.Vocab, n0: len(prompt), settled: len(prompt), limit: s.Context, sampler: newSampler(s, c.Vocab)}
	d.adjust = newAdjustments(&d.Options)
	d.given = d.n0
	switch {
	case s.Infill != nil:
		d.layOut()
	case s.MaxTokens > 0:
		d.limit = d.n0 + min(s.MaxTokens, s.Context-d.n0)
	}
	d.Stop = slices.DeleteFunc(slices.Clone(s.Stop), func(id int32) bool { return id == s.mask })
	if len(d.Stop) < len(s.Stop) {
		s.Warn(fmt.Sprintf("the mask token %d is among the stop tokens and was removed from them", s.mask))
	}
	d.reading = reading{stream: s.Text, stops: s.StopStrings, show: s.OnText, fresh: s.Shown}
	d.stats.PromptTokens = s.PromptTokens(prompt)

	var positions int
	d.how, positions = s.begin(d)
	switch {
	case s.auto && s.Infill != nil:
		s.Warn("decode mode auto has nothing to choose in infilling")
	case s.auto && d.stats.Auto == nil:
		s.Warn("decode mode auto has nothing to choose in " + manner(c))
	}
	d.tellUnseen()
	prefix := s.Prefix[:min(len(s.Prefix), d.pagesIn(d.n0-1))] // a row of the prompt is left that predicts the first token
	if d.cache, err = m.NewCacheFrom(prefix, positions); err != nil {
		return nil, err
	}
	d.seg.Cache = d.cache
	d.stats.PrefixTokens = len(prefix) * infer.PagePositions
	d.how.skip(d.stats.PrefixTokens)
	d.ids, d.masked = make([]int32, d.n0, positions), make([]bool, d.n0, positions)
	copy(d.ids, prompt)
	for _, id := range s.Infill {
		if id == Masked {
			d.extend(len(d.ids) + 1)
		} else {
			d.ids, d.masked = append(d.ids, id), append(d.masked, false)
		}
	}
	return d, nil
}

// CheckPrompt returns why a prompt, with what is to be filled in after it, cannot be used in the context of the options: BAD_PROMPT or
// CONTEXT_LENGTH_EXCEEDED.
func (o Options) CheckPrompt(prompt []int32, vocab int) error {
	if len(prompt) == 0 {
		return fault.New("BAD_PROMPT", "the prompt has no token; wanted at least one")
	}
	for i, id := range slices.Concat(prompt, o.Infill) {
		if (id < 0 || int(id) >= vocab) && (i < len(prompt) || id != Masked) {
			return fault.New("BAD_PROMPT", "prompt token %d is id %d; the vocabulary has ids 0 to %d", i, id, vocab-1)
		}
	}
	if o.Infill != nil {
		return fits(len(prompt)+len(o.Infill), o.Context)
	}
	if len(prompt) >= o.Context {
		return fault.New("CONTEXT_LENGTH_EXCEEDED", "the prompt has %d tokens, and a context of %d leaves no room for an answer; "+
			"shorten it or raise --ctx-size", len(prompt), o.Context)
	}
	return nil
}

// Next returns the rows of the next pass, the same until Accept; nil once the answer has ended or failed. The decoder owns the segment.
func (d *Decoder) Next() *infer.Segment {
	if d.finish != "" || d.err != nil {
		return nil
	}
	if !d.planned {
		d.how.plan()
		d.planned = true
	}
	return &d.seg
}

// Kind says what the pass of the last Next is for.
func (d *Decoder) Kind() Kind { return d.kind }

// Accept acts on the logits of the segment that Next returned. NUMERIC_ERROR if they are not numbers: then the answer has failed.
func (d *Decoder) Accept() error {
	if d.err = d.seg.Err; d.err != nil {
		return d.err
	}
	d.planned = false
	d.stats.Passes[d.kind]++
	step := 0
	if d.kind == DenoiseBlock || d.kind == DenoiseSubBlock {
		d.step++
		step = d.step
	}
	if d.adjust != nil {
		d.adjust.count(d.ids[:d.settled])
	}
	d.guesses = d.guesses[:0]
	for i, position := range d.wanted {
		logits := d.seg.Out[i*d.vocab:][:d.vocab]
		if position < d.given {
			forbid(logits, d.Stop)
		}
		if d.adjust != nil {
			d.adjust.apply(logits)
		}
		id, confidence, ok := d.sampler.choose(logits, position, step)
		if !ok {
			d.err = fault.New("NUMERIC_ERROR", "the logits for position %d hold NaN or infinity, or nothing but -infinity; "+
				"the model file is damaged or its weights overflow", position)
			return d.err
		}
		guess := Take{Position: position, ID: id, Confidence: confidence}
		if d.TopLogprobs > 0 {
			top := d.sampler.top(logits, d.TopLogprobs, id, confidence)
			guess.top = &top
		}
		d.guesses = append(d.guesses, guess)
	}
	d.how.accept(d.guesses)
	return nil
}

// Took adds the time of the last pass to Stats.Seconds.
func (d *Decoder) Took(t time.Duration) { d.stats.Seconds[d.kind] += t.Seconds() }

// Result returns the answer as far as it is settled.
func (d *Decoder) Result() *Result {
	stats := d.stats
	stats.Auto = stats.Auto.clone()
	return &Result{
		IDs: slices.Clone(d.ids[d.n0:d.settled]), Text: d.reading.shown.String(), FinishReason: d.finish, Seed: d.sampler.seed, Stats: stats,
		Holes: slices.Clone(d.holes), Logprobs: d.LastLogprobs(d.settled - d.n0),
	}
}

// pass prepares a pass over positions [lo, hi), which see none from hi on.
func (d *Decoder) pass(kind Kind, lo, hi int) {
	d.kind = kind
	d.seg.Start, d.seg.IDs, d.seg.Extent = lo, d.ids[lo:hi], hi
	d.seg.Logits, d.wanted = d.seg.Logits[:0], d.wanted[:0]
}

// want asks the pass for the token at a position, which the logits of row (a position too) predict.
func (d *Decoder) want(position, row int) {
	d.seg.Logits, d.wanted = append(d.seg.Logits, row-d.seg.Start), append(d.wanted, position)
}

// open begins a block that ends before position end: what is not known of it is masked.
func (d *Decoder) open(end int) {
	d.step = 0
	d.extend(end)
}

// extend adds masked positions up to end.
func (d *Decoder) extend(end int) {
	for len(d.ids) < end {
		d.ids, d.masked = append(d.ids, d.mask), append(d.masked, true)
	}
}

// firstMask returns the first masked position at or after from; len(d.ids) if there is none.
func (d *Decoder) firstMask(from int) int {
	for from < len(d.ids) && !d.masked[from] {
		from++
	}
	return from
}

// theta is the threshold of the n-th pass, the first being 1. The sums are float32, as in dlm_server.
func (d *Decoder) theta(n int) float32 {
	switch {
	case d.Mode == names.ModeGreedy:
		return -1 // every confidence exceeds it
	case d.Mode == names.ModeAdaptive && n == 1:
		return max(0.5, d.threshold-0.4)
	case d.Mode == names.ModeAdaptive && n == 2:
		return max(0.7, d.threshold-0.2)
	}
	return d.threshold
}

// confident keeps the guesses whose confidence exceeds theta, or else the single most confident one, the lowest position among equals: every
// pass makes progress.
func confident(guesses []Take, theta float32) []Take {
	best := slices.MaxFunc(guesses, func(a, b Take) int { return cmp.Compare(a.Confidence, b.Confidence) })
	taken := guesses[:0]
	for _, g := range guesses {
		if g.Confidence > theta {
			taken = append(taken, g)
		}
	}
	if len(taken) == 0 {
		taken = append(taken, best)
	}
	return taken
}

// LastLogprobs returns those of the last n settled tokens, with Options.Logprobs; nil without.
func (d *Decoder) LastLogprobs(n int) []TokenLogprob {
	if !d.Logprobs {
		return nil
	}
	end := d.settled - d.n0
	return slices.Clone(d.logprobs[end-n : end])
}

// note keeps the probability of a token that was chosen.
func (d *Decoder) note(t Take) {
	at := t.Position - d.n0
	if at < len(d.sure) {
		d.sure[at] = t.Confidence
	}
	if !d.Logprobs {
		return
	}
	for len(d.logprobs) <= at {
		d.logprobs = append(d.logprobs, TokenLogprob{})
	}
	d.logprobs[at].Logprob = Logprob{t.ID, logprob(t.Confidence)}
	if t.top != nil {
		d.logprobs[at].Top = *t.top
	}
}

// fill puts tokens into masked positions of the block, tells of it, and settles what has no mask before it any more.
func (d *Decoder) fill(event string, block, sub int, taken []Take) {
	for _, t := range taken {
		d.ids[t.Position], d.masked[t.Position] = t.ID, false
		d.note(t)
	}
	d.tell(Event{Event: event, Block: block, Sub: sub, Pass: d.step, Take: taken})
	d.settle()
}

// append adds a token that was chosen without a threshold, or puts it into the first mask.
func (d *Decoder) append(one []Take) {
	at := one[0].Position
	d.extend(at + 1)
	d.ids[at], d.masked[at] = one[0].ID, false
	d.note(one[0])
	d.tell(Event{Event: eventNext, Block: at, Sub: NoSub, Take: one})
	d.settle()
}

func (d *Decoder) tell(e Event) {
	if d.OnEvent != nil {
		d.OnEvent(e)
	}
}

// settle moves over the new tokens that have no mask before them, up to the first that ends the answer, and hands them on.
func (d *Decoder) settle() {
	from := d.settled
	for d.finish == "" && d.settled < min(len(d.ids), d.limit) && !d.masked[d.settled] {
		id, at := d.ids[d.settled], d.settled
		d.settled++
		text, stop := "", at >= d.given && slices.Contains(d.Stop, id)
		if !stop {
			text, stop = d.reading.push(id)
		}
		if d.Infill == nil || d.settleHole(at, id, text) {
			d.stats.NewTokens++
		}
		switch {
		case stop || d.settled == d.limit && d.given == d.limit:
			d.finish = "stop"
		case d.settled == d.limit:
			d.finish = "length"
		}
	}
	if d.OnTokens != nil && d.settled > from {
		d.OnTokens(d.ids[from:d.settled])
	}
	d.reading.flush(d.finish != "")
}
