package page

import (
	"bytes"
	"encoding/json"
	"html/template"
	"io"
	"regexp"
)

// Replay is a recorded answer. Its JSON is what unmask.js calls a recording; Step and Take have the members of a wf.step event (docs/api.md).
type Replay struct {
	Title     string  `json:"title"`      // heading of the page; the prompt, say
	Model     string  `json:"model"`      // its name; "": not shown
	BlockSize int     `json:"block_size"` // positions in a block; 0: 32
	Prompt    []Token `json:"prompt"`     // positions 0, 1, ...; empty: unknown, and the answer starts at the first position that a step takes
	Steps     []Step  `json:"steps"`
	End       int     `json:"end"`  // position behind the answer's last token, a stop token included; 0: unknown
	Text      string  `json:"text"` // the answer as it was shown; "": not shown
}

// Token is one position of the prompt.
type Token struct {
	ID   int32  `json:"id"`
	Text string `json:"text"` // of this token alone; a control token's name
}

// Step is one pass: a denoise step, a next token, or a fill.
type Step struct {
	Event string `json:"event"` // denoise, next, fill
	Block int    `json:"block"` // first position of the block; of next, the token's own
	Sub   *int   `json:"sub"`   // offset of the sub-block in it; nil: none
	Step  int    `json:"step"`  // denoise steps that the block has had, this one included; 0 for next
	Take  []Take `json:"take"`  // what was filled in, ascending by position
}

// Take is one position filled in.
type Take struct {
	Position   int      `json:"position"` // the prompt's first token is 0
	ID         int32    `json:"id"`
	Text       string   `json:"text"`       // of this token alone
	Confidence *float32 `json:"confidence"` // 0..1; nil: unknown, as of next in a trace
}

// WriteReplay writes one HTML file that shows a recording in the page's live view. It needs no other file, no server and no network: script and style are
// in it, and its Content-Security-Policy allows exactly these two by their SHA-256 and nothing else, so nothing in the recording can run.
func WriteReplay(w io.Writer, r Replay) error {
	if r.Title == "" {
		r.Title = "Replay"
	}
	style := bytes.Join([][]byte{asset("unmask.css"), asset("replay.css")}, nil)
	script := bytes.Join([][]byte{module("dom.js"), module("unmask.js"), module("replay.js")}, nil)
	recording, err := json.Marshal(r) // escapes <, > and &, so that it cannot end its element
	if err != nil {
		return err
	}
	return replayPage.Execute(w, map[string]any{
		"Title": r.Title, "Policy": "default-src 'none'; script-src 'sha256-" + digest(script) + "'; style-src 'sha256-" + digest(style) + "'; base-uri 'none'; form-action 'none'",
		"Style": template.CSS(style), "Script": template.JS(script), "Recording": template.JS(recording),
	})
}

// imports are the lines by which a module names those that it needs; in one file they stand before it.
var imports = regexp.MustCompile(`(?m)^import .*\n`)

func module(name string) []byte { return imports.ReplaceAll(asset(name), nil) }

var replayPage = template.Must(template.New("replay").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{.Policy}}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>{{.Style}}</style>
</head>
<body>
<main></main>
<noscript>This page plays a recorded answer and needs JavaScript, all of which is in this file.</noscript>
<script type="application/json" id="recording">{{.Recording}}</script>
<script type="module">{{.Script}}</script>
</body>
</html>
`))
