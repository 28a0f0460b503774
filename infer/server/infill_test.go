package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/infer/diffusion"
)

// asked is the template of a question, as a raw prompt has it.
const asked = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"

// infilled is what the three routes say.
type infilled struct {
	Choices []struct {
		Text         string
		Message      struct{ Content string }
		FinishReason string `json:"finish_reason"`
	}
	Content string
	Stop    string `json:"stop_type"`
	Usage   struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
	Predicted int `json:"tokens_predicted"`
	Evaluated int `json:"tokens_evaluated"`
	Report    struct {
		Holes [][]diffusion.Hole
	} `json:"wf"`
}

func TestInfill(t *testing.T) {
	h := open(t, nil)
	text := "The capital of [[1]] is Paris, not [[3]]."
	for _, c := range []struct{ path, prompt, shown string }{
		{"/v1/completions", `"prompt":` + quoted(asked+text), asked},
		{"/completion", `"prompt":` + quoted(asked+text), asked},
		{chatPath, `"messages":[{"role":"user","content":"What is the capital of France?"},{"role":"assistant","content":` + quoted(text) + `}]`, ""},
	} {
		r := h.ask("POST", c.path, `{`+c.prompt+`,"max_tokens":4,"diffusion":{"infill":true}}`)
		var got infilled
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != 200 {
			t.Fatalf("%s: %d %s", c.path, r.status, r.body)
		}
		answer, reason := got.Content, got.Stop
		prompt, completion := got.Evaluated, got.Predicted
		if c.path != "/completion" {
			answer, reason = got.Choices[0].Text+got.Choices[0].Message.Content, got.Choices[0].FinishReason
			prompt, completion = got.Usage.Prompt, got.Usage.Completion
		}
		holes := got.Report.Holes[0]
		want := fmt.Sprintf("%sThe capital of%s is Paris, not%s.", c.shown, holes[0].Text, holes[1].Text)
		if len(holes) != 2 || len(holes[0].IDs) != 1 || len(holes[1].IDs) != 3 || answer != want {
			t.Errorf("%s: %q, want %q; holes %+v", c.path, answer, want, holes)
		}
		if wantReason := map[bool]string{true: "limit", false: "stop"}[c.path == "/completion"]; reason != wantReason || completion != 4 || prompt < 25 {
			t.Errorf("%s: %q, %d and %d tokens", c.path, reason, prompt, completion)
		}

		streamed, last := h.ask("POST", c.path, `{`+c.prompt+`,"stream":true,"stream_options":{"include_usage":true},"diffusion":{"infill":true,"stream_steps":true}}`), ""
		var parts strings.Builder
		for line := range strings.Lines(streamed.body) {
			data, ok := strings.CutPrefix(line, "data: ")
			var part struct {
				Choices []struct {
					Text  string
					Delta struct{ Content string }
				}
				Content string
			}
			if !ok || json.Unmarshal([]byte(data), &part) != nil {
				continue
			}
			last = data
			parts.WriteString(part.Content)
			for _, choice := range part.Choices {
				parts.WriteString(choice.Text + choice.Delta.Content)
			}
		}
		if parts.String() != want || !strings.Contains(last, `"holes":[[{"position":`) || !strings.Contains(streamed.body, "event: wf.step\n") {
			t.Errorf("%s: streamed %q, want %q; at last %s", c.path, parts.String(), want, last)
		}
	}
	// Several answers to one text.
	r := h.ask("POST", "/v1/completions", `{"prompt":`+quoted(asked+"The capital of [[3]] is [[2]]")+`,"n":3,"temperature":2,"seed":1,"diffusion":{"infill":true}}`)
	var several infilled
	if err := json.Unmarshal([]byte(r.body), &several); err != nil || len(several.Choices) != 3 || len(several.Report.Holes) != 3 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	filled := 0
	for i, holes := range several.Report.Holes {
		want := fmt.Sprintf("%sThe capital of%s is%s", asked, holes[0].Text, holes[1].Text)
		if got := several.Choices[i]; got.Text != want || (got.FinishReason == "stop") != (holes[1].IDs[len(holes[1].IDs)-1] == 3) {
			t.Errorf("choice %d: %+v, want %q", i, got, want)
		}
		filled += len(holes[0].IDs) + len(holes[1].IDs)
	}
	if several.Usage.Completion != filled {
		t.Errorf("%d completion tokens; %d were filled in", several.Usage.Completion, filled)
	}
	h.answers(t)
}

// TestInfillRefused: what cannot be filled in is the client's to know, and brackets mean nothing without diffusion.infill.
func TestInfillRefused(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct{ prompt, members, code, param string }{
		{`"a[[0]]"`, ``, "invalid_value", "prompt"}, {`"a[[-1]]"`, ``, "invalid_value", "prompt"}, {`"a[[9999999999]]"`, ``, "invalid_value", "prompt"},
		{`"a[[x]]"`, ``, "invalid_value", "prompt"}, {`"a[[3"`, ``, "invalid_value", "prompt"}, {`"[[3]] a"`, ``, "invalid_value", "prompt"},
		{`"no hole"`, ``, "invalid_value", "prompt"}, {`[1,2]`, ``, "invalid_value", "prompt"}, {`null`, ``, "invalid_value", "prompt"},
		{quoted("a" + strings.Repeat("[[1000]]", 100000)), ``, "context_length_exceeded", "prompt"},
		{`"a[[5]]"`, `"max_tokens":4,`, "invalid_value", "max_tokens"}, {`"a[[5]]"`, `"stop":"x",`, "invalid_value", "stop"},
		{`"a[[5]]"`, `"logprobs":2,`, "invalid_value", "logprobs"},
	} {
		h.ask("POST", "/v1/completions", `{"prompt":`+c.prompt+`,`+c.members+`"diffusion":{"infill":true}}`).wantError(t, 400, c.code, c.param)
	}
	h.ask("POST", "/v1/completions", `{"prompt":"a[[5]]","diffusion":{"infill":1}}`).wantError(t, 400, "invalid_value", "diffusion.infill")
	h.ask("POST", "/completion", `{"prompt":"a[[","diffusion":{"infill":true}}`).wantError(t, 400, "invalid_value", "prompt")
	h.chatWith(`"diffusion":{"infill":true}`).wantError(t, 400, "invalid_value", "messages")
	h.ask("POST", chatPath, `{"messages":[{"role":"assistant","content":"a"}],"diffusion":{"infill":true}}`).wantError(t, 400, "invalid_value", "messages")
	// The mask token spelled out is text, here and in what is filled in.
	if r := h.ask("POST", "/v1/completions", `{"prompt":"|<MASK>| [[1]] |<MASK>|","diffusion":{"infill":true}}`); r.status != 200 || strings.Count(r.body, "|\\u003cMASK\\u003e|") != 2 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := h.ask("POST", "/v1/completions", `{"prompt":"a[[x]] [[3]]","max_tokens":2}`); r.status != 200 || strings.Contains(r.body, `"holes"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	h.answers(t)
}
