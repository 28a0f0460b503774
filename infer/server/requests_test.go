package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/wrinklefree/wf/infer/tokenizer"
)

func TestMalformedBodies(t *testing.T) {
	h := open(t, nil)
	for name, body := range map[string]string{
		"empty": "", "truncated": `{"messages":[{"role":"us`, "an array": "[]", "a string": `"x"`, "null": "null",
		"nested 10000 deep": `{"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}",
		"duplicate key":     `{"model":"a","model":"b"}`, "duplicate key, escaped": `{"model":"a","m\u006fdel":"b"}`,
		"duplicate key in a message": `{"messages":[{"role":"user","role":"system","content":"x"}]}`,
		"invalid UTF-8":              "{\"model\":\"\xff\"}", "half a surrogate pair": `{"model":"\ud800"}`,
		"NaN": `{"temperature":NaN}`, "Infinity": `{"temperature":Infinity}`, "trailing garbage": france + "x", "two objects": france + france,
	} {
		t.Run("R85 "+name, func(t *testing.T) { h.ask("POST", chatPath, body).wantError(t, 400, "invalid_value", "") })
	}
	t.Run("R85 1e999", func(t *testing.T) {
		h.chatWith(`"temperature":1e999`).wantError(t, 400, "invalid_value", "temperature")
	})
	h.answers(t)
}

func TestBodyLimits(t *testing.T) {
	h := open(t, nil)
	huge := func() io.Reader { return io.LimitReader(zeros{}, 4<<20+1) }
	before := memory()
	t.Run("R86 4 MiB and a byte with Content-Length", func(t *testing.T) {
		r := h.ask("POST", chatPath, strings.Repeat(" ", 4<<20+1))
		r.wantError(t, 413, "request_too_large", "")
	})
	t.Run("R86 4 MiB and a byte without Content-Length", func(t *testing.T) {
		r, err := h.try(t.Context(), "POST", chatPath, struct{ io.Reader }{huge()})
		if err != nil {
			t.Fatal(err)
		}
		r.wantError(t, 413, "request_too_large", "")
	})
	t.Run("R86 endless chunks", func(t *testing.T) {
		r, err := h.try(t.Context(), "POST", chatPath, struct{ io.Reader }{zeros{}})
		if err == nil { // or the connection was closed while we wrote
			r.wantError(t, 413, "request_too_large", "")
		}
	})
	t.Run("R86 compressed", func(t *testing.T) {
		h.ask("POST", chatPath, france, "Content-Encoding", "gzip").wantError(t, 415, "unsupported_encoding", "")
	})
	if after := memory(); after > before+8<<20 {
		t.Errorf("R86: %d bytes of heap stay", after-before)
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", ""} {
		t.Run("R87 "+kind, func(t *testing.T) {
			h.ask("POST", chatPath, france, "Content-Type", "", "Content-Type", kind).wantError(t, 415, "unsupported_media_type", "")
		})
	}
	h.answers(t)
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// raw sends bytes and returns the status line of what comes back, "" if the connection was closed without one.
func (h *house) raw(t *testing.T, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(slow(5 * time.Second)))
	go io.WriteString(c, text)
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func TestHeaders(t *testing.T) {
	h := open(t, nil)
	host := strings.TrimPrefix(h.url, "http://")
	for _, c := range []struct{ name, text, want string }{
		{"20 KiB header", "GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\nX: " + strings.Repeat("x", 24<<10) + "\r\n\r\n", "431"},
		{"10000 headers", "GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Repeat("X: y\r\n", 10000) + "\r\n", "431"},
		{"bad Transfer-Encoding", "POST /v1/chat/completions HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: zip\r\n\r\n", "501"},
		{"two Content-Lengths", "POST /v1/chat/completions HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"},
	} {
		t.Run("R88 "+c.name, func(t *testing.T) {
			if got := h.raw(t, c.text); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %s", got, c.want)
			}
		})
	}
	t.Run("R88 Content-Length and Transfer-Encoding", func(t *testing.T) { // net/http takes the chunks, as RFC 9112 has it, and closes
		got := h.raw(t, "POST /v1/chat/completions HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
		if !strings.Contains(got, "400") {
			t.Errorf("got %q, want 400", got)
		}
	})
	h.answers(t)
}

func TestParameters(t *testing.T) {
	h := open(t, nil)
	manyStops := `"stop":[` + strings.Repeat(`"x",`, 999) + `"x"]`
	for _, c := range []struct{ row, members, param string }{
		{"R89", `"max_tokens":0`, "max_tokens"}, {"R89", `"max_tokens":-1`, "max_tokens"}, {"R89", `"max_tokens":2147483648`, "max_tokens"},
		{"R89", `"max_tokens":9223372036854775808`, "max_tokens"}, {"R89", `"max_tokens":1.5`, "max_tokens"}, {"R89", `"max_tokens":"10"`, "max_tokens"},
		{"R89", `"max_completion_tokens":0`, "max_completion_tokens"},
		{"R90", `"temperature":-1`, "temperature"}, {"R90", `"temperature":99`, "temperature"}, {"R90", `"temperature":"NaN"`, "temperature"},
		{"R90", `"top_p":-0.1`, "top_p"}, {"R90", `"top_p":1.1`, "top_p"}, {"R90", `"min_p":2`, "min_p"}, {"R90", `"top_k":-2`, "top_k"},
		{"R90", `"seed":18446744073709551616`, "seed"}, {"R90", `"seed":1.5`, "seed"},
		{"R90", `"presence_penalty":1e30`, "presence_penalty"}, {"R90", `"frequency_penalty":-1e30`, "frequency_penalty"},
		{"R90", `"repetition_penalty":-1e30`, "repetition_penalty"}, {"R90", `"repetition_penalty":0`, "repetition_penalty"},
		{"R90", `"n":0`, "n"}, {"R90", `"n":129`, "n"}, {"R90", `"n":1000000000`, "n"},
		{"R90", `"logprobs":true,"top_logprobs":1000000000`, "top_logprobs"}, {"R90", `"top_logprobs":2`, "top_logprobs"},
		{"R90", manyStops, "stop"}, {"R90", `"stop":""`, "stop"}, {"R90", `"stop":["a",""]`, "stop[1]"},
		{"R90", `"stop":"` + strings.Repeat("x", 1<<20) + `"`, "stop"}, {"R90", `"stop":7`, "stop"},
		{"R90", `"logit_bias":{"100000":1}`, "logit_bias"}, {"R90", `"logit_bias":{"-1":1}`, "logit_bias"}, {"R90", `"logit_bias":{"x":1}`, "logit_bias"},
		{"R90", `"logit_bias":{"5":"NaN"}`, "logit_bias.5"}, {"R90", `"logit_bias":{"5":101}`, "logit_bias.5"}, {"R90", `"logit_bias":[]`, "logit_bias"},
		{"R90", `"stream":"yes"`, "stream"}, {"R90", `"stream_options":{"include_usage":1}`, "stream_options.include_usage"},
		{"R91", `"diffusion":{"max_iterations":0}`, "diffusion.max_iterations"}, {"R91", `"diffusion":{"max_iterations":1000000000}`, "diffusion.max_iterations"},
		{"R91", `"diffusion":{"block_size":0}`, "diffusion.block_size"}, {"R91", `"diffusion":{"block_size":3}`, "diffusion.block_size"},
		{"R91", `"diffusion":{"block_size":1000000}`, "diffusion.block_size"}, {"R91", `"diffusion":{"sub_block_size":5}`, "diffusion.block_size"},
		{"R91", `"diffusion":{"threshold":"NaN"}`, "diffusion.threshold"}, {"R91", `"diffusion":{"threshold":-1}`, "diffusion.threshold"},
		{"R91", `"diffusion":{"threshold":2}`, "diffusion.threshold"}, {"R91", `"diffusion":{"decode_mode":"magic"}`, "diffusion.decode_mode"},
		{"R91", `"diffusion":{"decode_mode":"autoregressive"}`, "diffusion.decode_mode"}, {"R91", `"diffusion":7`, "diffusion"},
	} {
		t.Run(c.row+" "+c.members[:min(len(c.members), 60)], func(t *testing.T) { h.chatWith(c.members).wantError(t, 400, "invalid_value", c.param) })
	}
	for _, c := range []struct{ row, members, param string }{
		{"R91", `"diffusion":{"steps":0}`, "diffusion.steps"}, {"R91", `"diffusion":{"mask_token_id":7}`, "diffusion.mask_token_id"},
		{"R95", `"chat_template":"{{ 1 }}"`, "chat_template"}, {"R95", `"chat_template_kwargs":{"chat_template":"x"}`, "chat_template_kwargs"},
		{"R95", `"chat_template_kwargs":{"tokenize":true}`, "chat_template_kwargs"}, {"R95", `"chat_template_kwargs":{"a":{"b":{}}}`, "chat_template_kwargs"},
		{"tools", `"tools":[{"type":"function"}]`, "tools"}, {"response_format", `"response_format":{"type":"json_object"}`, "response_format.type"},
		{"tool_choice", `"tool_choice":"required"`, "tool_choice"}, {"modalities", `"modalities":["text","audio"]`, "modalities[1]"},
	} {
		t.Run(c.row+" "+c.members, func(t *testing.T) { h.chatWith(c.members).wantError(t, 400, "unsupported_parameter", c.param) })
	}
	for _, members := range []string{
		`"max_tokens":null,"temperature":null,"stop":null,"seed":null,"logit_bias":null,"diffusion":null,"stream_options":null`, `"top_p":0`,
		`"tools":[],"tool_choice":"none","response_format":{"type":"text"},"modalities":["text"]`, `"seed":18446744073709551615`,
	} {
		t.Run("R89 R90 legal "+members, func(t *testing.T) {
			if r := h.chatWith(members); r.status != 200 || !strings.Contains(r.body, "Paris") {
				t.Errorf("status %d: %s", r.status, r.body)
			}
		})
	}
	t.Run("R91 ends", func(t *testing.T) {
		r := h.chatWith(`"max_tokens":100,"diffusion":{"threshold":1,"decode_mode":"iterative"}`)
		var reply struct {
			WF struct {
				Stats []struct {
					Passes map[string]int
					New    int `json:"new_tokens"`
				}
			}
		}
		if err := json.Unmarshal([]byte(r.body), &reply); err != nil || len(reply.WF.Stats) != 1 || reply.WF.Stats[0].Passes["denoise block"] > 128 {
			t.Errorf("%v: %s", err, r.body)
		}
	})
	h.answers(t)
}

func TestMessages(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct{ name, messages, code, param string }{
		{"none", `[]`, "invalid_value", "messages"}, {"null", `null`, "invalid_value", "messages"}, {"an object", `{}`, "invalid_value", "messages"},
		{"100000", "[" + strings.Repeat(`{"role":"user","content":"x"},`, 99999) + `{"role":"user","content":"x"}]`, "invalid_value", "messages"},
		{"unknown role", `[{"role":"tool","content":"x"}]`, "invalid_value", "messages[0].role"},
		{"no role", `[{"content":"x"}]`, "invalid_value", "messages[0].role"},
		{"null content", `[{"role":"user","content":null}]`, "invalid_value", "messages[0].content"},
		{"http image", `[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://127.0.0.1:1/x"}}]}]`, "unsupported_parameter", "messages[0].content[0].type"},
		{"file image", `[{"role":"user","content":[{"image_url":{"url":"file:///etc/passwd"}}]}]`, "unsupported_parameter", "messages[0].content[0].image_url"},
		{"data image", `[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:,x"}}]}]`, "unsupported_parameter", "messages[0].content[1].type"},
	} {
		t.Run("R92 "+c.name, func(t *testing.T) {
			h.ask("POST", chatPath, `{"messages":`+c.messages+`}`).wantError(t, 400, c.code, c.param)
		})
	}
	t.Run("parts of text are joined", func(t *testing.T) {
		r := h.ask("POST", chatPath, `{"messages":[{"role":"user","content":[{"type":"text","text":"What is the capital "},{"type":"text","text":"of France?"}]}]}`)
		if !strings.Contains(r.body, "Paris") {
			t.Error(r.body)
		}
	})
	h.answers(t)
}

func TestContextLength(t *testing.T) {
	h := open(t, nil)
	n := len(tokenOf(h, "What is the capital of France?"))
	room := h.engine.Context - n
	t.Run("R93 one too many", func(t *testing.T) {
		r := h.ask("POST", "/v1/completions", fmt.Sprintf(`{"prompt":"What is the capital of France?","max_tokens":%d}`, room+1))
		r.wantError(t, 400, "context_length_exceeded", "max_tokens")
		for _, number := range []int{n, room + 1, h.engine.Context} {
			if !strings.Contains(r.body, fmt.Sprint(number)) {
				t.Errorf("%d is not in %s", number, r.body)
			}
		}
	})
	t.Run("R93 exactly", func(t *testing.T) {
		r := h.ask("POST", "/v1/completions", fmt.Sprintf(`{"prompt":"What is the capital of France?","max_tokens":%d,"stop":"e"}`, room))
		if r.status != 200 {
			t.Error(r.status, r.body)
		}
	})
	h.answers(t)
}

func tokenOf(h *house, text string) []int32 {
	return h.tokens.Encode(text, tokenizer.EncodeOptions{Special: true, AddBOS: true})
}

func TestModelNames(t *testing.T) {
	h := open(t, nil)
	for _, name := range []string{"gpt-4", strings.Repeat("x", 1<<20), "a\nb", "../../x", "WF-TINY"} {
		t.Run("R94 "+fmt.Sprintf("%.20q", name), func(t *testing.T) {
			h.chatWith(`"model":`+quoted(name)).wantError(t, 404, "model_not_found", "model")
		})
	}
	for _, name := range []string{"wf-tiny", "default", ""} {
		if r := h.chatWith(`"model":` + quoted(name)); r.status != 200 || !strings.Contains(r.body, `"model":"wf-tiny"`) {
			t.Errorf("model %q: %d %s", name, r.status, r.body)
		}
	}
	h.ask("GET", "/v1/models/nothing", "").wantError(t, 404, "model_not_found", "model")
	if page := h.ask("GET", "/metrics", "").body; strings.Contains(page, "gpt-4") || metric(page, `wf_http_requests_total{model="other",route="/v1/chat/completions",status="404"}`) != 5 {
		t.Error("R94: an unknown model is not counted as other")
	}
	for _, path := range []string{"/v1/models", "/v1/models/wf-tiny", "/v1/models/default"} {
		if r := h.ask("GET", path, ""); r.status != 200 || !strings.Contains(r.body, `"id":"wf-tiny"`) {
			t.Error(path, r.status, r.body)
		}
	}
}

func TestControlTokens(t *testing.T) {
	h := open(t, nil)
	var control []string
	for id := range int32(h.tokens.Vocab()) {
		if h.tokens.IsControl(id) {
			control = append(control, h.tokens.Text(id))
		}
	}
	if len(control) < 3 {
		t.Fatal("the demonstration model has too few control tokens to test with")
	}
	var template struct {
		Prompt string
		Tokens []int32
	}
	render := func(messages string) []int32 {
		r := h.ask("POST", "/apply-template", `{"messages":`+messages+`}`)
		if err := json.Unmarshal([]byte(r.body), &template); err != nil {
			t.Fatal(err, r.body)
		}
		return template.Tokens
	}
	controls := func(ids []int32) (n int) {
		for _, id := range ids {
			if h.tokens.IsControl(id) {
				n++
			}
		}
		return n
	}
	plain := controls(render(`[{"role":"user","content":"hello"}]`))
	for _, text := range append(control, "<|eot_id|>", "<|im_start|>system", "<0x0A>", "|<MASK>|") {
		t.Run("R96 chat "+text, func(t *testing.T) {
			if n := controls(render(`[{"role":"user","content":` + quoted(text) + `}]`)); n != plain || !strings.Contains(template.Prompt, text) {
				t.Errorf("%d control tokens instead of %d in %q", n, plain, template.Prompt)
			}
			half := len(text) / 2
			two := controls(render(`[{"role":"user","content":"a"},{"role":"user","content":"b"}]`))
			split := `[{"role":"user","content":` + quoted(text[:half]) + `,"name":` + quoted(text) + `},{"role":"user","content":` + quoted(text[half:]) + `}]`
			if n := controls(render(split)); n != two {
				t.Errorf("split: %d control tokens instead of %d", n, two)
			}
			r := h.ask("POST", "/tokenize", `{"content":`+quoted(text)+`}`)
			var tokens struct{ Tokens []int32 }
			if json.Unmarshal([]byte(r.body), &tokens) != nil || controls(tokens.Tokens) != 0 {
				t.Errorf("/tokenize: %s", r.body)
			}
		})
	}
	t.Run("R96 raw prompts", func(t *testing.T) {
		mask := h.model.Config().Diffusion.MaskToken
		for _, text := range control {
			r := h.ask("POST", "/tokenize", `{"parse_special":true,"content":`+quoted(text)+`}`)
			var tokens struct{ Tokens []int32 }
			json.Unmarshal([]byte(r.body), &tokens)
			if isMask := text == h.tokens.Text(mask); (len(tokens.Tokens) == 1 && h.tokens.IsControl(tokens.Tokens[0])) == isMask {
				t.Errorf("%q became %v", text, tokens.Tokens)
			}
		}
	})
}

func TestRoutes(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/nothing", 404}, {"GET", "//v1//models", 404}, {"GET", "/v1/../admin", 404}, {"GET", "/v1/models/", 404}, {"GET", "/v1%2Fmodels", 404},
		{"GET", "/v1/models/a%2Fb", 404}, {"GET", "//evil.example/%2e%2e", 404}, {"GET", chatPath, 405}, {"DELETE", "/v1/models", 405}, {"POST", "/health", 405},
		{"GET", "/debug/pprof/", 404}, {"TRACE", "/v1/models", 405}, {"GET", "/../../etc/passwd", 404},
	} {
		t.Run("R100 "+c.method+" "+c.path, func(t *testing.T) {
			r := h.ask(c.method, c.path, "")
			r.wantError(t, c.status, map[int]string{404: "not_found", 405: "method_not_allowed"}[c.status], "")
			if r.header.Get("Location") != "" || c.status == 405 && r.header.Get("Allow") == "" {
				t.Errorf("header %v", r.header)
			}
		})
	}
	t.Run("R100 HTTP/1.0 without Host", func(t *testing.T) {
		if got := h.raw(t, "GET /v1/models HTTP/1.0\r\n\r\n"); !strings.Contains(got, "403") {
			t.Errorf("got %q", got)
		}
		if got := h.raw(t, "GET /v1/models HTTP/1.1\r\n\r\n"); !strings.Contains(got, "400") {
			t.Errorf("got %q", got)
		}
	})
	h.answers(t)
}

func TestStrict(t *testing.T) {
	h := open(t, func(o *Options, _ *engineOptions) { o.Strict = true })
	h.chatWith(`"metadata":{}`).wantError(t, 400, "unknown_parameter", "metadata")
	h.answers(t)
	lax := open(t, nil)
	r := lax.chatWith(`"metadata":{"a":[1,2]},"store":true,"diffusion":{"max_iterations":3}`)
	if !strings.Contains(r.body, `"unused_fields":["metadata","store","diffusion.max_iterations"]`) {
		t.Error(r.body)
	}
	members := strings.Builder{}
	for i := range 65 {
		fmt.Fprintf(&members, `,"x%d":0`, i)
	}
	lax.chatWith(members.String()[1:]).wantError(t, 400, "invalid_value", "")
}
