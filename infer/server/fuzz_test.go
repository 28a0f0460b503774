package server

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/wrinklefree/wf/gguf/strictjson"
)

// FuzzBody reads any bytes as a request. Whatever they are, the answer is a request within its limits or a problem with status 400, and what is
// accepted is JSON to others too.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		france, `{"messages":[{"role":"user","content":[{"type":"text","text":"x"}],"name":"n"}],"n":3,"stop":["a"],"logit_bias":{"5":-1}}`,
		`{"diffusion":{"threshold":0.5,"steps":1}}`, `{"stop":{}}`, `{"logit_bias":[[1,2]]}`, `{"a":{"b":[null,1e999]},"a":1}`, `{"seed":18446744073709551615}`,
		"{\"model\":\"\xff\"}", `{"temperature":-0}`, `{"tools":[{}],"stream_options":null}`, `{"":1}`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	h := open(f, nil)
	m := h.Server.model.Load()
	f.Fuzz(func(t *testing.T, data []byte) {
		q := m.newRequest()
		b := &body{}
		var err error
		b.Document, err = strictjson.New(data, b.malformed)
		if err == nil {
			err = b.object(members{"messages": func(b *body) error { _, err := b.messages(); return err }}, q.openai(), q.sampling(m))
		}
		if err == nil {
			b.param = ""
			err = b.End()
		}
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || p.status != 400 || p.text == "" || len(p.body("id")) > 2048+6*len(p.param) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is no JSON: %q", data)
		}
		if q.choices < 1 || q.choices > maxChoices || len(q.options.StopStrings) > maxStops || len(b.unused) > maxUnused || len(q.options.LogitBias) > maxBiases {
			t.Fatalf("beyond the limits: %+v", q)
		}
	})
}
