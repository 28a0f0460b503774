// Package show is what a person watches of a block-diffusion answer: its trace, as a file, and a view of it, as lines of a terminal.
//
// A trace is JSON lines. All lines but the events may be absent, as they are in what wf wrote before version 1 and in testdata/tinydlm/golden:
//
//	{"wf_trace":1,"wf":"0.1.0","model":"wf-tiny","block_size":32,"prompt_ids":[2,270,202],...}   Header, the first line
//	{"texts":{"2":"<|im_start|>","270":"user"}}                                                  texts of ids, before the first line that uses them
//	{"event":"denoise","block":0,"sub":16,"take":[[17,304,0.999989]]}                            diffusion.Event
//	{"end":"stop","new_tokens":12}                                                               End, the last line
//
// The text of an id is a string, or an array of bytes where they are not UTF-8: a byte-level vocabulary cuts characters in two.
//
// A View is the state that the events up to one lead to. Its Lines are a pure function of the state, a width and a height; a Screen repaints them
// in place, and whatever ends the program, the terminal is as it was: a frame is one write that sets no mode, hides no cursor and ends with plain
// attributes.
package show

import "github.com/wrinklefree/wf/infer/diffusion"

// Header says what a trace is of.
type Header struct {
	Version int    `json:"wf_trace"` // TraceVersion; 0: the trace has no header
	Program string `json:"wf"`       // version of wf that wrote it
	Model   string `json:"model"`

	Dialect       string   `json:"dialect,omitempty"` // "" for an autoregressive model
	Mode          string   `json:"mode"`
	Threshold     *float32 `json:"threshold,omitempty"`
	BlockSize     int      `json:"block_size"`
	SubBlockSize  int      `json:"sub_block_size,omitempty"`
	SubBlockCache bool     `json:"sub_block_cache,omitempty"`
	MaxIterations int      `json:"max_iterations,omitempty"`
	MaxTokens     int      `json:"max_tokens,omitempty"` // 0: to the context's end
	Context       int      `json:"ctx_size"`
	Temperature   float32  `json:"temperature"`
	TopK          int      `json:"top_k,omitempty"`
	TopP          *float32 `json:"top_p,omitempty"`
	MinP          float32  `json:"min_p,omitempty"`
	Seed          *uint64  `json:"seed,omitempty"` // as it was asked for; the end names the one that was drawn

	Stop   []int32 `json:"stop_ids"`
	Prompt []int32 `json:"prompt_ids"`
	Infill []int32 `json:"infill,omitempty"` // what follows the prompt, -1 where a token is to be filled in; nil: the answer is free
}

// End says how an answer ended.
type End struct {
	Reason    string  `json:"end"` // stop, length; "" where it was broken off
	NewTokens int     `json:"new_tokens"`
	Seed      *uint64 `json:"seed,omitempty"` // of the sampler, at a temperature above 0
}

// Trace is a recorded answer.
type Trace struct {
	Header Header
	Texts  map[int32]string // bytes of each id that occurs; without a header there may be none
	Events []diffusion.Event
	End    *End // nil: not recorded
}

// TraceVersion is what this package writes, and the newest that it reads.
const TraceVersion = 1
