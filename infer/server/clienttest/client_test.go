// Package clienttest runs the official Go client of OpenAI against wf serve. It is a module of its own, so that the client is no dependency of wf.
package clienttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

const (
	key      = "a-key-for-this-test"
	question = "What is the capital of France?"
	answer   = "The capital of France is Paris."
)

// serve builds wf, or takes the binary that WF_BINARY names, and starts it.
func serve(t *testing.T) (url string) {
	t.Helper()
	binary := os.Getenv("WF_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "wf")
		build := exec.Command("go", "build", "-o", binary, "./cmd/wf")
		build.Dir = "../../.."
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("# of this test\n"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", "--port", "0", "--api-key-file", file)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "listening on "); ok {
			url, _, _ = strings.Cut(rest, ";")
		}
		if strings.Contains(lines.Text(), "ready") {
			break
		}
	}
	done := make(chan string)
	go func() {
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
		}
		done <- all.String()
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		text := <-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("wf serve ended with %v: %s", err, text)
		}
		if strings.Contains(text, question) || strings.Contains(text, key) {
			t.Errorf("the log has a conversation or a key in it: %s", text)
		}
	})
	if url == "" {
		t.Fatal("wf serve did not listen")
	}
	return url + "/v1/"
}

func ask(content string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "default", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(content)}}
}

func TestOpenAI(t *testing.T) {
	url := serve(t)
	client := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey(key), option.WithMaxRetries(0))
	ctx := t.Context()

	t.Run("chat", func(t *testing.T) {
		r, err := client.Chat.Completions.New(ctx, ask(question))
		if err != nil || r.Choices[0].Message.Content != answer || r.Choices[0].FinishReason != "stop" || r.Usage.TotalTokens != 29 || r.SystemFingerprint == "" {
			t.Fatalf("%v %+v", err, r)
		}
	})
	t.Run("all parameters", func(t *testing.T) {
		p := ask(question)
		p.Temperature, p.TopP, p.Seed, p.N = openai.Float(0.7), openai.Float(0.9), openai.Int(7), openai.Int(3)
		p.PresencePenalty, p.FrequencyPenalty, p.MaxCompletionTokens = openai.Float(0.1), openai.Float(0.1), openai.Int(20)
		p.LogitBias, p.User = map[string]int64{"5": -100}, openai.String("u")
		a, err := client.Chat.Completions.New(ctx, p)
		if err != nil || len(a.Choices) != 3 {
			t.Fatalf("%v %+v", err, a)
		}
		b, err := client.Chat.Completions.New(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a.Choices {
			if a.Choices[i].Message.Content != b.Choices[i].Message.Content {
				t.Errorf("choice %d: %q, then %q with the same seed", i, a.Choices[i].Message.Content, b.Choices[i].Message.Content)
			}
		}
	})
	t.Run("penalty and bias change the answer", func(t *testing.T) {
		p := ask(question)
		p.LogitBias = map[string]int64{"574": -100} // " P"
		r, err := client.Chat.Completions.New(ctx, p)
		if err != nil || strings.Contains(r.Choices[0].Message.Content, "Paris") {
			t.Fatalf("%v %+v", err, r)
		}
		r, err = client.Chat.Completions.New(ctx, ask(question), option.WithJSONSet("repetition_penalty", 1.1))
		if err != nil || len(r.Choices) != 1 {
			t.Fatalf("%v %+v", err, r)
		}
	})
	t.Run("stream with usage", func(t *testing.T) {
		p := ask(question)
		p.StreamOptions.IncludeUsage = openai.Bool(true)
		stream := client.Chat.Completions.NewStreaming(ctx, p)
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			if !all.AddChunk(stream.Current()) {
				t.Errorf("the accumulator refuses a chunk: %s", stream.Current().RawJSON())
			}
		}
		if stream.Err() != nil || all.Choices[0].Message.Content != answer || all.Usage.CompletionTokens != 12 {
			t.Errorf("%v %+v", stream.Err(), all.ChatCompletion)
		}
	})
	t.Run("stream of steps", func(t *testing.T) {
		stream := client.Chat.Completions.NewStreaming(ctx, ask(question), option.WithJSONSet("diffusion.stream_steps", true))
		text, steps := "", 0
		for stream.Next() {
			chunk := stream.Current()
			if chunk.Object == "wf.step" {
				steps++
			}
			for _, c := range chunk.Choices {
				text += c.Delta.Content
			}
		}
		if stream.Err() != nil || text != answer || steps != 2 {
			t.Errorf("%v %q %d", stream.Err(), text, steps)
		}
	})
	t.Run("stop", func(t *testing.T) {
		p := ask(question)
		p.Stop = openai.ChatCompletionNewParamsStopUnion{OfStringArray: []string{" is"}}
		r, err := client.Chat.Completions.New(ctx, p)
		if err != nil || r.Choices[0].Message.Content != "The capital of France" || r.Choices[0].FinishReason != "stop" {
			t.Fatalf("%v %+v", err, r)
		}
	})
	t.Run("length", func(t *testing.T) {
		p := ask(question)
		p.MaxTokens = openai.Int(2)
		r, err := client.Chat.Completions.New(ctx, p)
		if err != nil || r.Choices[0].FinishReason != "length" || r.Usage.CompletionTokens != 2 {
			t.Fatalf("%v %+v", err, r)
		}
	})
	t.Run("logprobs", func(t *testing.T) {
		p := ask(question)
		p.Logprobs, p.TopLogprobs = openai.Bool(true), openai.Int(3)
		r, err := client.Chat.Completions.New(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, token := range r.Choices[0].Logprobs.Content {
			text += token.Token
			if len(token.TopLogprobs) != 3 || token.Logprob > 0 || token.TopLogprobs[0].Token != token.Token || token.TopLogprobs[1].Logprob > token.TopLogprobs[0].Logprob {
				t.Errorf("%s", token.RawJSON())
			}
		}
		if text != answer {
			t.Errorf("the tokens say %q", text)
		}
	})
	t.Run("text completion", func(t *testing.T) {
		p := openai.CompletionNewParams{Model: "default", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("<|im_start|>user\n" + question + "<|im_end|>\n<|im_start|>assistant\n")}}
		p.Logprobs = openai.Int(2)
		r, err := client.Completions.New(ctx, p)
		if err != nil || r.Choices[0].Text != answer || len(r.Choices[0].Logprobs.Tokens) == 0 {
			t.Fatalf("%v %+v", err, r)
		}
		stream, text := client.Completions.NewStreaming(ctx, p), ""
		for stream.Next() {
			for _, c := range stream.Current().Choices {
				text += c.Text
			}
		}
		if stream.Err() != nil || text != answer {
			t.Errorf("%v %q", stream.Err(), text)
		}
	})
	t.Run("models", func(t *testing.T) {
		page, err := client.Models.List(ctx)
		if err != nil || len(page.Data) != 1 || page.Data[0].ID != "wf-tiny" {
			t.Fatalf("%v %+v", err, page)
		}
		for _, id := range []string{"wf-tiny", "default"} {
			if m, err := client.Models.Get(ctx, id); err != nil || m.ID != "wf-tiny" {
				t.Errorf("%v %+v", err, m)
			}
		}
	})
	for _, c := range []struct {
		name   string
		change func(*openai.ChatCompletionNewParams)
		more   []option.RequestOption
		status int
		code   string
		param  string
	}{
		{"R102 bad value", func(p *openai.ChatCompletionNewParams) { p.Temperature = openai.Float(9) }, nil, 400, "invalid_value", "temperature"},
		{"R102 no messages", func(p *openai.ChatCompletionNewParams) { p.Messages = nil }, nil, 400, "invalid_value", "messages"},
		{"R102 unknown model", func(p *openai.ChatCompletionNewParams) { p.Model = "gpt-9" }, nil, 404, "model_not_found", "model"},
		{"R102 too long", func(p *openai.ChatCompletionNewParams) { p.MaxTokens = openai.Int(100000) }, nil, 400, "context_length_exceeded", "max_tokens"},
		{"R102 tools", func(p *openai.ChatCompletionNewParams) {
			p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "f"})}
		}, nil, 400, "unsupported_parameter", "tools"},
		{"R102 wrong key", nil, []option.RequestOption{option.WithAPIKey("wrong")}, 401, "invalid_api_key", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := ask(question)
			if c.change != nil {
				c.change(&p)
			}
			_, err := client.Chat.Completions.New(ctx, p, c.more...)
			var e *openai.Error
			if !errors.As(err, &e) || e.StatusCode != c.status || e.Code != c.code || e.Param != c.param || e.Message == "" {
				t.Errorf("%v %+v", err, e)
			}
			stream := client.Chat.Completions.NewStreaming(ctx, p, c.more...)
			if stream.Next() || !errors.As(stream.Err(), &e) || e.StatusCode != c.status {
				t.Errorf("streaming: %v", stream.Err())
			}
		})
	}
	t.Run("timeout", func(t *testing.T) {
		p := ask(question)
		p.N = openai.Int(100)
		if _, err := client.Chat.Completions.New(ctx, p, option.WithRequestTimeout(time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		p := ask(question)
		p.N = openai.Int(100)
		stream := client.Chat.Completions.NewStreaming(ctx, p)
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		cancel()
		for stream.Next() {
		}
		if !errors.Is(stream.Err(), context.Canceled) {
			t.Errorf("%v", stream.Err())
		}
	})
	t.Run("and answers still", func(t *testing.T) {
		if r, err := client.Chat.Completions.New(ctx, ask(question)); err != nil || r.Choices[0].Message.Content != answer {
			t.Errorf("%v %+v", err, r)
		}
	})
}

// TestErrorBodies feeds every error that a client of wf serve may get to the official client.
func TestErrorBodies(t *testing.T) {
	text, err := os.ReadFile("../testdata/errors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Status int
		Body   json.RawMessage
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) < 20 {
		t.Fatalf("%d errors, %v", len(all), err)
	}
	for _, c := range all {
		var want struct {
			Error struct{ Message, Type, Code, Param string }
		}
		if err := json.Unmarshal(c.Body, &want); err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprintf("R102 %d %s", c.Status, want.Error.Code), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.Status)
				w.Write(c.Body)
			}))
			defer s.Close()
			client := openai.NewClient(option.WithBaseURL(s.URL), option.WithAPIKey(key), option.WithMaxRetries(0))
			_, err := client.Chat.Completions.New(t.Context(), ask(question))
			var e *openai.Error
			if !errors.As(err, &e) || e.StatusCode != c.Status || e.Message != want.Error.Message || e.Code != want.Error.Code || e.Type != want.Error.Type || e.Param != want.Error.Param {
				t.Errorf("%v %+v", err, e)
			}
		})
	}
}
