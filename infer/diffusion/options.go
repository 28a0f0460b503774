package diffusion

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/infer"
)

// Options of one request. The zero value takes what the file states, then the dialect's defaults (DECODING.md).
type Options struct {
	Mode          string        // iterative, greedy, adaptive, autoregressive; "": the file's, else the dialect's; auto: that, and see Auto
	Threshold     *float32      // take a masked token whose confidence exceeds this, 0..1; nil: the file's, else the dialect's
	BlockSize     int           // positions in a block; 0: the file's
	SubBlockSize  int           // fast-dllm-v2: positions in a sub-block, divides BlockSize; 0: the file's
	SubBlockCache bool          // fast-dllm-v2: the paper's DualCache, which reruns a sub-block alone where it can
	MaxIterations int           // wrinklefree: passes over a block before the best guesses fill it; 0: 10
	MaxTokens     int           // new tokens at most; 0: to the context's end
	Context       int           // positions of prompt and answer together; 0: the model's, at most 4096
	Infill        []int32       // what follows the prompt: ids, and Masked where one is to be filled in, the first too; nil: the answer is free
	Shown         string        // what the answer's text begins with, such as the text before what is to be filled in
	Prefix        []*infer.Page // keys and values of the prompt's first positions, from Decoder.Prefix of an answer with the same Mask
	PrefillRows   int           // prompt positions in one pass, never less than a block; 0: 512. Results do not depend on it

	Temperature float32  // 0: always the most likely token
	TopK        int      // keep the k most likely; 0: all
	TopP        *float32 // keep the fewest whose mass reaches this, at least one; nil or 1: all
	MinP        float32  // keep those at least this times as likely as the most likely; 0: all
	Seed        *uint64  // nil: one is drawn, and reported
	Choice      int      // which of several answers to one request this is

	RepetitionPenalty float32           // divides what speaks for a token that was there; 0 or 1: does not
	PresencePenalty   float32           // taken from the logit of a token that was there
	FrequencyPenalty  float32           // taken as often as it was there
	LogitBias         map[int32]float32 // added to the logits of these tokens, -100 to 100

	Logprobs    bool // Result.Logprobs is wanted
	TopLogprobs int  // with so many alternatives each

	Stop        []int32    // ids that end the answer
	StopStrings []string   // texts that end the answer and are not shown; they need Text
	Text        TextStream // turns ids into text for StopStrings, OnText and Result.Text; nil: no text

	OnEvent  func(Event)       // every pass, fill and first token; Event.Take is valid until it returns
	OnTokens func(ids []int32) // ids settled since the last call, in order, never revised, the stop token included; valid until it returns
	OnText   func(text string) // text settled since the last call, without what may still become a stop string
	Warn     func(string)      // one sentence for a person
}

const (
	defaultContext     = 4096
	defaultIterations  = 10
	defaultPrefillRows = 512

	maxTemperature     = 2 // OpenAI's
	maxStopStrings     = 16
	maxStopStringBytes = 1024

	modeAuto = "auto"

	noMask = -1 // the mask token of a model that has none: no id equals it
)

// dialects are the two trained ways of block diffusion: their defaults where the file states none, and the settings that mean something in them.
var dialects = map[string]struct {
	mode      string
	threshold float32
	settings  []string
	begin     func(*Decoder) (decoding, int)
}{
	names.DialectFastDLLM:    {names.ModeIterative, 0.9, []string{"threshold", "block_size", "sub_block_size", "sub_block_cache"}, startFastDLLM},
	names.DialectWrinkleFree: {names.ModeGreedy, 0.7, []string{"threshold", "block_size", "max_iterations"}, startWrinkleFree},
}

// OptionError is one option that cannot be used, with code BAD_OPTION.
type OptionError struct {
	Option string // threshold, block_size, top_p, ...
	text   string
}

func (e *OptionError) Error() string { return e.Option + " " + e.text }

// Code returns BAD_OPTION.
func (e *OptionError) Code() string { return "BAD_OPTION" }

// settings are the options with every default filled in.
type settings struct {
	Options
	begin     func(*Decoder) (decoding, int)
	mask      int32
	shift     bool
	auto      bool    // Mode was auto
	threshold float32 // what Threshold comes to
	topP      float32 // what TopP comes to
}

// Validate returns every option that cannot be used with the model, joined; or MODE_MISMATCH where mode and model do not go together, or
// INFILL_UNSUPPORTED.
func (o Options) Validate(c *infer.Config) error {
	_, err := o.resolve(c)
	return err
}

func (o Options) resolve(c *infer.Config) (*settings, error) {
	s := &settings{Options: o, mask: noMask, topP: 1}
	if s.Mode == modeAuto {
		s.Mode, s.auto = "", true
	}
	if s.Warn == nil {
		s.Warn = func(string) {}
	}
	if s.TopP != nil {
		s.topP = *s.TopP
	}
	s.Context = cmp.Or(s.Context, min(c.Context, defaultContext))
	s.PrefillRows = cmp.Or(s.PrefillRows, defaultPrefillRows)
	s.MaxIterations = cmp.Or(s.MaxIterations, defaultIterations)
	var unknown error
	if s.Mode != "" && s.Mode != names.ModeAutoregressive && !slices.Contains(diffusionModes, s.Mode) {
		unknown = &OptionError{"decode_mode", fmt.Sprintf("is %s; wanted iterative, greedy, adaptive, autoregressive or auto", fault.Quote(s.Mode))}
		s.Mode = ""
	}
	if err := s.pair(c.Diffusion); err != nil {
		return nil, err
	}
	if err := s.infillable(c); err != nil {
		return nil, err
	}
	return s, errors.Join(append(s.check(c), unknown)...)
}

var diffusionModes = []string{names.ModeIterative, names.ModeGreedy, names.ModeAdaptive}

// pair takes over what the model's diffusion metadata say, and refuses a mode that the model was not made for.
func (s *settings) pair(d *infer.DiffusionConfig) error {
	switch {
	case d == nil && slices.Contains(diffusionModes, s.Mode):
		return fault.New("MODE_MISMATCH", "decode mode %s fills in masked positions, but this model names no mask token; "+
			"use --decode-mode autoregressive, or name the token with --mask-token-id N", s.Mode)
	case d == nil:
		s.Mode, s.begin = names.ModeAutoregressive, startAutoregressive
		s.BlockSize, s.SubBlockSize = 1, 1
		return nil
	case s.Mode == names.ModeAutoregressive:
		return fault.New("MODE_MISMATCH", "decode mode autoregressive, but this is a diffusion model (dialect %s, mask token %d) that was trained to "+
			"fill in blocks; leave --decode-mode out, or override with --mask-token-id none", fault.Quote(d.Dialect), d.MaskToken)
	}
	dialect, ok := dialects[d.Dialect]
	if !ok {
		return fault.New("MODE_MISMATCH", "dialect %s is unknown; choose fast-dllm-v2 or wrinklefree with --dialect", fault.Quote(d.Dialect))
	}
	s.begin, s.mask, s.shift = dialect.begin, d.MaskToken, d.ShiftLogits
	s.Mode = cmp.Or(s.Mode, d.Mode, dialect.mode)
	s.BlockSize, s.SubBlockSize = cmp.Or(s.BlockSize, d.BlockSize), cmp.Or(s.SubBlockSize, d.SubBlockSize)
	s.threshold = dialect.threshold
	if t := cmp.Or(s.Threshold, d.Threshold); t != nil {
		s.threshold = *t
	}
	return nil
}

// manner says how a model decodes.
func manner(c *infer.Config) string {
	if c.Diffusion == nil {
		return "a model without a mask token"
	}
	return "dialect " + c.Diffusion.Dialect
}

// Unused names the decoding settings that were given and that the model's dialect does not use.
func (o Options) Unused(c *infer.Config) (unused []string) {
	var used []string
	if c.Diffusion != nil {
		used = dialects[c.Diffusion.Dialect].settings
	}
	for _, setting := range []struct {
		name  string
		given bool
	}{
		{"threshold", o.Threshold != nil}, {"block_size", o.BlockSize != 0}, {"sub_block_size", o.SubBlockSize != 0},
		{"sub_block_cache", o.SubBlockCache}, {"max_iterations", o.MaxIterations != 0},
	} {
		if setting.given && !slices.Contains(used, setting.name) {
			unused = append(unused, setting.name)
		}
	}
	return unused
}

// check returns every option out of its range.
func (s *settings) check(c *infer.Config) (all []error) {
	bad := func(option, format string, args ...any) {
		all = append(all, &OptionError{option, fmt.Sprintf(format, args...)})
	}
	integer := func(option string, value, low, high int) {
		switch {
		case value >= low && value <= high:
		case high == math.MaxInt:
			bad(option, "is %d; wanted %d or more", value, low)
		default:
			bad(option, "is %d; wanted %d to %d", value, low, high)
		}
	}
	number := func(option string, value, high float32) {
		if !(value >= 0 && value <= high) { // so that NaN fails
			bad(option, "is %v; wanted 0 to %v", value, high)
		}
	}
	integer("ctx_size", s.Context, 1, c.Context)
	integer("block_size", s.BlockSize, 1, c.Context)
	integer("sub_block_size", s.SubBlockSize, 1, c.Context)
	if s.BlockSize > 0 && s.SubBlockSize > 0 && s.BlockSize%s.SubBlockSize != 0 {
		bad("block_size", "is %d; wanted a multiple of sub_block_size %d", s.BlockSize, s.SubBlockSize)
	}
	number("threshold", s.threshold, 1)
	integer("max_iterations", s.MaxIterations, 1, max(c.Context, defaultIterations)) // a block never needs more passes than it has positions
	integer("max_tokens", s.MaxTokens, 0, math.MaxInt)
	integer("prefill_rows", s.PrefillRows, 1, math.MaxInt)
	number("temperature", s.Temperature, maxTemperature)
	integer("top_k", s.TopK, 0, math.MaxInt)
	number("top_p", s.topP, 1)
	number("min_p", s.MinP, 1)
	integer("choice", s.Choice, 0, math.MaxInt)
	if len(s.StopStrings) > maxStopStrings {
		bad("stop", "has %d strings; wanted at most %d", len(s.StopStrings), maxStopStrings)
	}
	for _, text := range s.StopStrings {
		if len(text) < 1 || len(text) > maxStopStringBytes {
			bad("stop", "has a string of %d bytes; wanted 1 to %d", len(text), maxStopStringBytes)
			break
		}
	}
	if len(s.StopStrings) > 0 && s.Text == nil {
		bad("stop", "strings need a text stream that turns ids into text")
	}
	if err := s.checkLogprobs(); err != nil {
		all = append(all, err)
	}
	all = append(all, s.checkInfill()...)
	return append(all, s.checkAdjustments(c.Vocab)...)
}
