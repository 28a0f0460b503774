package pagetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/infer/server/page"
)

// TestReplay opens a file of WriteReplay from disk: it plays without a server, and nothing in it runs but its own script.
func TestReplay(t *testing.T) {
	sure, half, first := float32(0.9995), float32(0.5), 0
	r := page.Replay{
		Title: `</title><img src=x onerror=document.title=1>`, Model: "wf-tiny", BlockSize: 4, End: 6, Text: "The <b>cat</b>\n", Prompt: []page.Token{{ID: 2, Text: "<|user|>"}, {ID: 5, Text: "hi"}},
		Steps: []page.Step{
			{Event: "denoise", Step: 1, Sub: &first, Take: []page.Take{{Position: 3, ID: 11, Text: " <b>cat</b>", Confidence: &sure}}},
			{Event: "denoise", Step: 2, Sub: &first, Take: []page.Take{{Position: 2, ID: 10, Text: "The", Confidence: &half}}},
			{Event: "next", Block: 4, Take: []page.Take{{Position: 4, ID: 12, Text: "\n"}}},
			{Event: "fill", Block: 4, Step: 1, Take: []page.Take{{Position: 5, ID: 3, Text: "<|end|>", Confidence: &half}, {Position: 6, ID: 1, Text: "x", Confidence: &half}}},
		},
	}
	path := filepath.Join(t.TempDir(), "replay.html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := page.WriteReplay(f, r); err != nil {
		t.Fatal(err)
	}
	f.Close()
	w := open(t, "file://"+path)
	w.until(`document.querySelectorAll(".cell").length === 4`)
	equal(t, "title", w.text("h1"), r.Title)
	equal(t, "window's title", ask[string](w, "document.title"), r.Title)
	equal(t, "elements made of text", ask[int](w, `document.querySelectorAll("img, b").length`), 0)
	w.set(".player select", "120")
	w.until(`document.querySelector(".player input").value === "4"`) // it plays by itself
	equal(t, "text", strings.TrimSpace(w.text(".replay-text")), strings.TrimSpace(r.Text))
	cells := func() string {
		return ask[string](w, `[...document.querySelectorAll(".cell")].map(c => c.dataset.state + ":" + c.textContent).join(" ")`)
	}
	w.click(".player [aria-label='To the start']")
	equal(t, "at the start", cells(), "prompt:user prompt:hi mask: mask:")
	w.click(".player [aria-label='Next step']")
	equal(t, "after a step", cells(), "prompt:user prompt:hi mask: new:<b>cat</b>")
	w.click(".player [aria-label='To the end']")
	equal(t, "at the end", cells(), "settled:↵ new:end past: off:")
	w.quiet(false)
}

// TestReplayHoles plays an infilled text: positions inside the prompt that a step fills in are masked until then.
func TestReplayHoles(t *testing.T) {
	sure := float32(0.99)
	path := filepath.Join(t.TempDir(), "replay.html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = page.WriteReplay(f, page.Replay{
		BlockSize: 4, Prompt: []page.Token{{ID: 5, Text: "The"}, {ID: 0, Text: "[MASK]"}, {ID: 6, Text: " of"}, {ID: 7, Text: " France"}},
		Steps: []page.Step{{Event: "denoise", Step: 1, Take: []page.Take{{Position: 1, ID: 8, Text: " capital", Confidence: &sure}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	w := open(t, "file://"+path)
	cells := `[...document.querySelectorAll(".cell")].map(c => c.dataset.state + ":" + c.textContent).join(" ")`
	w.until(cells + ` === "prompt:The new:capital prompt:of prompt:France"`)
	w.click(".player [aria-label='To the start']")
	equal(t, "at the start", ask[string](w, cells), "prompt:The mask: prompt:of prompt:France")
	equal(t, "without times there is no speed that was", ask[int](w, `document.querySelectorAll(".player option[value=real]").length`), 0)
	w.quiet(false)
}
