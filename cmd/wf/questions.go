package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/strictjson"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/tokenizer"
)

// question is a line of a question file: it has one right answer. Without an answer it is there to be timed.
type question struct {
	line             int
	Question, Answer string
	Split, Group     string // what it counts to besides; "" for nothing
}

const (
	maxQuestionBytes = 64 << 20 // of a file
	maxQuestions     = 100_000
)

// readQuestions reads JSON lines: objects with question and answer, and perhaps split and group; other members mean nothing here. EVAL_MALFORMED,
// EVAL_LIMIT, and those of disk.Open.
func readQuestions(path string) ([]question, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > maxQuestionBytes {
		return nil, fault.New("EVAL_LIMIT", "%s: %d bytes of questions; the limit is %d", path, f.Size(), maxQuestionBytes)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return nil, err
	}
	var all []question
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(all) == maxQuestions {
			return nil, fault.New("EVAL_LIMIT", "%s: more than %d questions", path, maxQuestions)
		}
		q, err := parseQuestion(line)
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		q.line = n
		all = append(all, q)
	}
	if len(all) == 0 {
		return nil, fault.New("EVAL_MALFORMED", "%s: no questions; wanted JSON lines with question and answer", path)
	}
	return all, nil
}

func parseQuestion(line []byte) (q question, err error) {
	malformed := func(_ strictjson.Problem, format string, args ...any) error {
		return fault.New("EVAL_MALFORMED", "wanted a JSON object with question and answer: "+format, args...)
	}
	d, err := strictjson.New(line, malformed)
	if err != nil {
		return q, err
	}
	members := map[string]*string{"question": &q.Question, "answer": &q.Answer, "split": &q.Split, "group": &q.Group}
	err = d.Object(func(key string) error {
		to := members[key]
		if to == nil {
			return d.Skip()
		}
		t, err := d.Next()
		if err != nil {
			return err
		}
		text, ok := t.(string)
		if !ok {
			if _, nested := t.(json.Delim); nested {
				return malformed(strictjson.WrongType, "%s is an object or an array; wanted text", key)
			}
			return malformed(strictjson.WrongType, "%s is no text", key)
		}
		*to = text
		return nil
	})
	if err == nil {
		err = d.End()
	}
	if err == nil && (q.Question == "" || q.Answer == "") {
		err = malformed(strictjson.WrongType, "question or answer is missing or empty")
	}
	return q, err
}

// prompt puts the chat template around a question, if the model has one.
func (s *session) prompt(question string) ([]int32, error) {
	if s.tokenizer.HasChatTemplate() {
		return s.tokenizer.Chat([]tokenizer.Message{{Role: "user", Content: question}}, true)
	}
	return s.tokenizer.Encode(question, tokenizer.EncodeOptions{AddBOS: true}), nil
}

// tally counts answers.
type tally struct {
	asked, right  int
	tokens, steps int // new tokens; passes that took them
}

// add counts an answer, and says whether it is right: the text that a reader sees, without a byte more or less.
func (t *tally) add(q question, r *diffusion.Result) bool {
	right := r.Text == q.Answer
	if right {
		t.right++
	}
	t.asked++
	t.tokens += r.Stats.NewTokens
	t.steps += r.Stats.DenoiseSteps() + r.Stats.Passes[diffusion.Decode]
	return right
}

// exact is the share of right answers, 0 to 1.
func (t *tally) exact() float64 { return float64(t.right) / float64(t.asked) }

// tokensPerStep is how many tokens a pass that took some brought on average.
func (t *tally) tokensPerStep() float64 { return float64(t.tokens) / float64(max(t.steps, 1)) }

// answerTokens is how long an answer may become: what is longer cannot be right, however it is cut into tokens.
func (s *session) answerTokens(q question) int {
	return max(defaultAnswerTokens, 2*len(s.tokenizer.Encode(q.Answer, tokenizer.EncodeOptions{})))
}

const defaultAnswerTokens = 96

// ask answers a question, in at most o.MaxTokens, or answerTokens.
func (s *session) ask(ctx context.Context, q question, o diffusion.Options) (*diffusion.Result, error) {
	prompt, err := s.prompt(q.Question)
	if err != nil {
		return nil, err
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = s.answerTokens(q)
	}
	o.Stop, o.Text = s.tokenizer.Stop(), s.tokenizer.NewStream()
	return diffusion.Generate(ctx, s.model, prompt, o)
}
