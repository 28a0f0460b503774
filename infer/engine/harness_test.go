package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tiny"
)

// kinds are the three ways in which the demonstration model can be made to decode; "" is token by token.
var kinds = []string{names.DialectFastDLLM, names.DialectWrinkleFree, ""}

func load(t *testing.T, dialect string, threads int) *hooked {
	t.Helper()
	file, err := gguf.Parse(tiny.Model)
	if err != nil {
		t.Fatal(err)
	}
	m, err := infer.LoadFile(file, infer.Options{Threads: threads, Dialect: dialect, NoMask: dialect == ""})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &hooked{Model: m, mark: map[*infer.Cache]int32{}, rows: map[int32]int{}}
}

// hooked is a model that tests can disturb. A request is known by a mark in its prompt. The logits are divided by 6: the demonstration
// model is so sure of the end of every nonsense prompt that all answers would be alike.
type hooked struct {
	*infer.Model
	before   func(segments []*infer.Segment)       // may block or panic
	instead  func(segments []*infer.Segment) error // of Forward
	after    func(mark int32, s *infer.Segment)
	newCache func() error

	mu   sync.Mutex
	mark map[*infer.Cache]int32
	rows map[int32]int // by mark
	wide int           // segments of the widest pass
}

func (h *hooked) NewCacheFrom(prefix []*infer.Page, capacity int) (*infer.Cache, error) {
	if h.newCache != nil {
		if err := h.newCache(); err != nil {
			return nil, err
		}
	}
	return h.Model.NewCacheFrom(prefix, capacity)
}

func (h *hooked) Forward(segments []*infer.Segment) error {
	h.mu.Lock()
	for _, s := range segments {
		if i := slices.IndexFunc(s.IDs, func(id int32) bool { return id >= marks }); i >= 0 && h.mark[s.Cache] == 0 {
			h.mark[s.Cache] = s.IDs[i]
		}
		h.rows[h.mark[s.Cache]] += len(s.IDs)
	}
	h.wide = max(h.wide, len(segments))
	h.mu.Unlock()
	if h.before != nil {
		h.before(segments)
	}
	if h.instead != nil {
		return h.instead(segments)
	}
	err := h.Model.Forward(segments)
	for _, s := range segments {
		for i := range s.Out {
			s.Out[i] /= 6
		}
	}
	if h.after != nil {
		for _, s := range segments {
			h.after(h.mark[s.Cache], s)
		}
	}
	return err
}

func (h *hooked) rowsOf(mark int32) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rows[mark]
}

// slowness is how much longer things may take here.
func slowness() time.Duration {
	if n, err := strconv.Atoi(os.Getenv("WF_TEST_SLOWNESS")); err == nil {
		return time.Duration(n)
	}
	return 1
}

// eventually waits for something that happens on other goroutines.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second * slowness()); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, 5*time.Second*slowness())
		}
	}
}

// run starts an engine. At the end of the test it must be idle, and after Close have left nothing behind.
func run(t *testing.T, m Model, o Options) *Engine {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	e, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "idle", func() bool {
			m := e.Metrics()
			return m.Running == 0 && m.Queued == 0 && m.QueuedTokens == 0 && m.CacheBytes == 0
		})
		e.Close()
		e.Close() // which may be called again
		eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= goroutines })
		if e.prefixes != nil {
			for _, n := range e.prefixes.nodes() {
				if n.pins != 0 {
					t.Errorf("a prefix is still pinned %d times", n.pins)
				}
			}
		}
	})
	return e
}

func (p *prefixes) nodes() (all []*node) {
	for at := p.used.Front(); at != nil; at = at.Next() {
		all = append(all, at.Value.(*node))
	}
	return all
}

// marks are ids from here on.
const marks = 1003

// prompt makes n ids that begin and end with mark; seed decides the rest.
func prompt(mark int32, n int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 1))
	ids := []int32{mark}
	for len(ids) < n {
		ids = append(ids, 3+r.Int32N(marks-3))
	}
	ids[n-1] = mark
	return ids
}

func ptr[T any](v T) *T { return &v }

// outcome is all that one answer said.
type outcome struct {
	ids   []int32
	steps []diffusion.Event // with every confidence, so that a bit of the logits counts
	text  string
}

// alone runs a request by itself, without an engine.
func alone(t *testing.T, m diffusion.Model, r Request, choice int) outcome {
	t.Helper()
	var want outcome
	o := r.Options
	o.Choice = choice
	if r.Text != nil {
		o.Text = r.Text()
	}
	o.OnEvent = func(e diffusion.Event) {
		e.Take = slices.Clone(e.Take)
		want.steps = append(want.steps, e)
	}
	result, err := diffusion.Generate(t.Context(), m, r.Prompt, o)
	if err != nil {
		t.Fatal(err)
	}
	want.ids, want.text = result.IDs, result.Text
	return want
}

// read collects what a stream says, and holds the pieces to the whole.
func read(s *Stream) ([]outcome, error) {
	got := make([]outcome, s.choices)
	ended := make([]bool, s.choices)
	for event := range s.Events {
		o := &got[event.Choice]
		if ended[event.Choice] {
			return nil, fmt.Errorf("choice %d goes on after its result", event.Choice)
		}
		o.ids, o.text = append(o.ids, event.Tokens...), o.text+event.Text
		o.steps = append(o.steps, event.Steps...)
		if r := event.Result; r != nil {
			ended[event.Choice] = true
			if !slices.Equal(r.IDs, o.ids) || r.Text != o.text || r.FinishReason == "" || r.Seed != s.Seed {
				return nil, fmt.Errorf("the result %+v does not agree with the events: %+v", r, o)
			}
		}
	}
	if err := s.Err(); err != nil {
		return got, err
	}
	if slices.Contains(ended, false) {
		return nil, fmt.Errorf("the stream ended without a result: %v", ended)
	}
	return got, nil
}

func submit(t *testing.T, e *Engine, r Request) *Stream {
	t.Helper()
	s, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantAnswer reads a stream and compares its only answer.
func wantAnswer(t *testing.T, what string, s *Stream, want outcome) {
	t.Helper()
	got, err := read(s)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("%s:\ngot  %v %q\nwant %v %q; %d events and %d", what, got[0].ids, got[0].text, want.ids, want.text, len(got[0].steps), len(want.steps))
	}
}

// wantCode reads a stream to its end and wants a failure.
func wantCode(t *testing.T, s *Stream, code string) {
	t.Helper()
	if _, err := read(s); fault.Code(err) != code {
		t.Errorf("the stream ended with %v; wanted %s", err, code)
	}
}

// refused wants Submit to fail.
func refused(t *testing.T, e *Engine, ctx context.Context, r Request, code string) error {
	t.Helper()
	_, err := e.Submit(ctx, r)
	if fault.Code(err) != code {
		t.Fatalf("Submit returned %v; wanted %s", err, code)
	}
	return err
}

// pieces is a text stream that spells an id as <id>.
type pieces struct{}

func (pieces) Push(id int32) string { return fmt.Sprintf("<%d>", id) }
func (pieces) Flush() string        { return "" }

func spell() diffusion.TextStream { return pieces{} }
