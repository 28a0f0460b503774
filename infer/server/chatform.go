package server

import "github.com/wrinklefree/wf/infer/engine"

// chatForm is OpenAI's chat.completion and chat.completion.chunk.
type chatForm struct{}

type chatReply struct {
	ID          string       `json:"id"`
	Object      string       `json:"object"`
	Created     int64        `json:"created"`
	Model       string       `json:"model"`
	Fingerprint string       `json:"system_fingerprint"`
	Choices     []chatChoice `json:"choices"`
	Usage       *usage       `json:"usage,omitempty"`
	Report      *report      `json:"wf,omitempty"`
}

type chatChoice struct {
	Index        int           `json:"index"`
	Message      *chatMessage  `json:"message,omitempty"` // of a whole reply
	Delta        *chatMessage  `json:"delta,omitempty"`   // of a chunk
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type chatMessage struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Refusal *string `json:"refusal,omitempty"` // never one
}

func (a *answer) chat(object string, choices ...chatChoice) chatReply {
	if choices == nil {
		choices = []chatChoice{}
	}
	return chatReply{ID: "chatcmpl-" + a.id, Object: object, Created: a.created, Model: a.model.Name, Fingerprint: a.model.Fingerprint, Choices: choices}
}

func (chatForm) whole(a *answer) any {
	r := a.chat("chat.completion")
	for i, result := range a.results {
		r.Choices = append(r.Choices, chatChoice{
			Index: i, Message: &chatMessage{Role: "assistant", Content: &result.Text}, Logprobs: a.chatLogprobs(result.Logprobs),
			FinishReason: &result.FinishReason,
		})
	}
	r.Usage, r.Report = a.usage(), a.report()
	return r
}

const chunkObject = "chat.completion.chunk"

func (chatForm) begin(a *answer) (all []any) {
	for i := range a.choices {
		all = append(all, a.chat(chunkObject, chatChoice{Index: i, Delta: &chatMessage{Role: "assistant", Content: new(string)}}))
	}
	return all
}

func (chatForm) event(a *answer, e engine.Event) (all []any) {
	if logprobs := a.chatLogprobs(e.Logprobs); e.Text != "" || logprobs != nil {
		all = append(all, a.chat(chunkObject, chatChoice{Index: e.Choice, Delta: &chatMessage{Content: &e.Text}, Logprobs: logprobs}))
	}
	if e.Result != nil {
		chunk := a.chat(chunkObject, chatChoice{Index: e.Choice, Delta: &chatMessage{}, FinishReason: &e.Result.FinishReason})
		if !a.request.usage && a.complete() {
			chunk.Report = a.report()
		}
		all = append(all, chunk)
	}
	return all
}

func (chatForm) end(a *answer) []any {
	if !a.request.usage {
		return nil // many readers expect a choice in every chunk
	}
	last := a.chat(chunkObject)
	last.Usage, last.Report = a.usage(), a.report()
	return []any{last}
}

func (chatForm) done() string { return "[DONE]" }
