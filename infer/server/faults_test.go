package server

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/infer/tokenizer/template"
)

// fill sets all logits of a pass.
func fill(value func(id int) float32, vocab int) func([]*infer.Segment) {
	return func(segments []*infer.Segment) {
		for _, s := range segments {
			for i := range s.Out {
				s.Out[i] = value(i % vocab)
			}
		}
	}
}

func TestModelFaults(t *testing.T) {
	h := open(t, nil)
	vocab, mask := h.model.Config().Vocab, int(h.model.Config().Diffusion.MaskToken)
	for name, value := range map[string]func(int) float32{
		"always prefers the mask": func(id int) float32 {
			if id == mask {
				return 100
			}
			return 0
		},
		"equal logits": func(int) float32 { return 1 },
	} {
		t.Run("R97 "+name, func(t *testing.T) {
			h.model.hook(nil, fill(value, vocab))
			defer h.model.hook(nil, nil)
			r := h.ask("POST", "/completion", `{"prompt":"x","n_predict":40}`)
			var reply struct{ Tokens []int32 }
			if err := json.Unmarshal([]byte(r.body), &reply); err != nil || len(reply.Tokens) != 40 {
				t.Fatalf("%v: %s", err, r.body)
			}
			for _, id := range reply.Tokens {
				if int(id) == mask {
					t.Fatal("the mask token is in the answer")
				}
			}
		})
	}
	for name, bad := range map[string]float32{"NaN": float32(math.NaN()), "+inf": float32(math.Inf(1)), "all -inf": float32(math.Inf(-1))} {
		t.Run("R98 "+name, func(t *testing.T) {
			sick := tokenOf(h, "hello hello hello") // the sick request is known by its first token
			h.model.hook(func([]*infer.Segment) { time.Sleep(5 * time.Millisecond) }, func(segments []*infer.Segment) {
				for _, s := range segments {
					if len(s.IDs) > 0 && s.IDs[0] == sick[0] {
						for i := range s.Out {
							s.Out[i] = bad
						}
					}
				}
			})
			defer h.model.hook(nil, nil)
			healthy := make(chan response, 1)
			go func() { healthy <- h.ask("POST", chatPath, france) }()
			h.ask("POST", "/completion", `{"prompt":"hello hello hello","n_predict":40}`).wantError(t, 500, "numeric_error", "")
			if r := <-healthy; !strings.Contains(r.body, "The capital of France is Paris.") {
				t.Error("the other request:", r.body)
			}
		})
	}
	if n := metric(h.ask("GET", "/metrics", "").body, `wf_numeric_errors_total{model="wf-tiny"}`); n != 3 {
		t.Errorf("R98: the counter says %v", n)
	}
	h.answers(t)
}

func TestPanics(t *testing.T) {
	h := open(t, nil)
	t.Run("R99 in a layer", func(t *testing.T) {
		h.model.hook(func([]*infer.Segment) { panic("secret-marker") }, nil)
		h.ask("POST", chatPath, france).wantError(t, 500, "internal_error", "")
		h.model.hook(nil, nil)
		h.answers(t)
	})
	t.Run("R99 in a handler", func(t *testing.T) {
		m := *h.Server.model.Load()
		broken := m
		broken.Tokenizer = nil // as good a bug as any
		h.Use(&broken)
		h.ask("POST", chatPath, france).wantError(t, 500, "internal_error", "")
		h.Use(&m)
		h.answers(t)
	})
	t.Run("R99 in a template", func(t *testing.T) { // of one statement, which is nil
		m := *h.Server.model.Load()
		broken, tokens, bug := m, *h.tokens, new(template.Template)
		body := settable(bug, "body")
		body.Set(reflect.MakeSlice(body.Type(), 1, 1))
		settable(&tokens, "chat").Set(reflect.ValueOf(bug))
		broken.Tokenizer = &tokens
		h.Use(&broken)
		h.ask("POST", chatPath, france).wantError(t, 500, "internal_error", "")
		h.Use(&m)
		h.answers(t)
	})
	t.Run("R99 in a worker goroutine", func(t *testing.T) {
		pool := kernel.NewPool(3)
		defer pool.Close()
		h.model.hook(func([]*infer.Segment) {
			pool.Run(3, 1, func(lo, _ int) {
				if lo > 0 {
					panic("secret-marker")
				}
			})
		}, nil)
		h.ask("POST", chatPath, france).wantError(t, 500, "internal_error", "")
		h.model.hook(nil, nil)
		h.answers(t)
	})
	page := h.ask("GET", "/metrics", "").body
	if metric(page, "wf_http_panics_total") != 2 || metric(page, `wf_engine_panics_total{model="wf-tiny"}`) != 2 {
		t.Error("panics are not counted")
	}
	if log := h.log.String(); strings.Contains(log, "secret-marker") || strings.Count(log, "msg=panic") != 4 || !strings.Contains(log, "faults_test.go") {
		t.Errorf("the log: %s", log)
	}
}

// settable is a field of a struct of another package.
func settable(of any, name string) reflect.Value {
	field := reflect.ValueOf(of).Elem().FieldByName(name)
	return reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
}

func TestErrorInStream(t *testing.T) {
	h := open(t, nil)
	t.Run("R101 after the first byte", func(t *testing.T) {
		passes := 0
		h.model.hook(func([]*infer.Segment) {
			if passes++; passes == 2 {
				panic("x")
			}
		}, nil)
		r, err := h.try(t.Context(), "POST", chatPath, strings.NewReader(strings.Replace(france, "{", `{"stream":true,`, 1)))
		if err == nil {
			t.Error("the connection ended as if all were well")
		}
		if r.status != 200 || !strings.Contains(r.body, "The capital of France is") || !strings.Contains(r.body, `data: {"error":{`) ||
			!strings.Contains(r.body, "internal_error") || strings.Contains(r.body, "[DONE]") {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("R101 before the first byte", func(t *testing.T) {
		h.model.hook(func([]*infer.Segment) { panic("x") }, nil)
		h.chatWith(`"stream":true`).wantError(t, 500, "internal_error", "")
	})
	h.model.hook(nil, nil)
	h.answers(t)
}
