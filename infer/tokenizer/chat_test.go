package tokenizer

import (
	"slices"
	"testing"
)

func TestChatReproducesGoldenPrompts(t *testing.T) {
	tok := tinyTokenizer(t)
	var traces []struct {
		Name      string
		Messages  [][2]string
		PromptIDs []int32 `json:"prompt_ids"`
	}
	readJSON(t, tiny+"golden/traces.json", &traces)
	checked := 0
	for _, trace := range traces {
		if trace.Messages == nil { // a prompt that was cut at a number of ids
			continue
		}
		var messages []Message
		for _, m := range trace.Messages {
			messages = append(messages, Message{Role: m[0], Content: m[1]})
		}
		ids, err := tok.Chat(messages, true)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids, trace.PromptIDs) {
			t.Errorf("%s: got %d, want %d", trace.Name, ids, trace.PromptIDs)
		}
		checked++
	}
	if checked < 100 {
		t.Errorf("only %d traces have messages", checked)
	}
}
