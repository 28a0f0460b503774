package pagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

const (
	france = "What is the capital of France?"
	paris  = "The capital of France is Paris."
	fox    = "Tell me a story about a fox."
)

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// last is a part of the last answer.
func last(part string) string { return ".answer:last-child " + part }

// TestChat asks, regenerates, copies, reloads and deletes.
func TestChat(t *testing.T) {
	p := inFrontOf(t, serve(t))
	w := open(t, p.url)
	w.send(france)
	equal(t, "answer", w.text(last(".text")), paris)
	equal(t, "title", ask[string](w, "document.title"), france+" · wf")
	if figures := w.text(last(".figures")); !strings.Contains(figures, "12 tokens in 2 steps, 6 a step") {
		t.Errorf("figures: %s", figures)
	}
	equal(t, "announced to a screen reader", w.text("#announcement"), paris)

	w.send("What is 12 plus 10?")
	equal(t, "second answer", w.text(last(".text")), "12 + 10 = 22.")
	var asked struct {
		Messages []struct{ Role, Content string }
	}
	if err := json.Unmarshal([]byte(p.lastAsked()), &asked); err != nil || len(asked.Messages) != 3 || asked.Messages[1].Content != paris {
		t.Errorf("the second question went without the conversation before it: %s", p.lastAsked())
	}

	first := ask[string](w, `document.querySelector(".answer:last-child .figures").textContent`)
	w.click(last("[data-action=regenerate]"))
	w.until(fmt.Sprintf(`(f => f && f !== %q)(document.querySelector(".answer:last-child .figures")?.textContent)`, first)) // another seed was drawn
	equal(t, "messages after regenerating", ask[int](w, `document.querySelectorAll("#log > article").length`), 4)

	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		w.do(chromedp.ActionFunc(func(ctx context.Context) error {
			return browser.SetPermission(&browser.PermissionDescriptor{Name: name}, browser.PermissionSettingGranted).
				Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
		}))
	}
	w.click(last("[aria-label=Copy]"))
	w.until(`document.querySelector("#announcement").textContent === "Copied"`)
	equal(t, "clipboard", ask[string](w, "navigator.clipboard.readText()"), "12 + 10 = 22.")

	w.do(chromedp.Reload())
	w.until(`document.querySelectorAll("#log > article").length === 4`)
	equal(t, "answer after reloading", w.text(last(".text")), "12 + 10 = 22.")
	w.click(last("[aria-label='Show how it was written']"))
	if ask[int](w, `document.querySelectorAll(".answer:last-child .cell[data-state=new], .answer:last-child .cell[data-state=settled]").length`) == 0 {
		t.Error("the recording did not outlive reloading")
	}

	w.click("#new-button")
	equal(t, "messages of a new conversation", ask[int](w, `document.querySelectorAll("#log > article").length`), 0)
	w.send(france)
	equal(t, "conversations", ask[int](w, `document.querySelectorAll("#conversations li").length`), 2)
	w.click("#conversations li:last-child .conversation")
	w.until(`document.querySelectorAll("#log > article").length === 4`)
	w.click("#conversations li:last-child .icon-button")
	w.until(`document.querySelectorAll("#conversations li").length === 1`)
	equal(t, "deleting the open conversation leaves", ask[int](w, `document.querySelectorAll("#log > article").length`), 0)

	equal(t, "other hosts that were asked", len(w.hosts), 1)
	w.quiet(false)
}

// TestStop stops an answer in the middle, by keyboard and by the button.
func TestStop(t *testing.T) {
	p := inFrontOf(t, serve(t))
	w := open(t, p.url)
	w.send(france)
	p.delay.Store(int64(300 * time.Millisecond))
	for _, stop := range []func(){func() { w.press("Escape") }, func() { w.click("#stop-button") }} {
		w.do(chromedp.Focus("#prompt", chromedp.ByQuery))
		w.write(fox)
		w.press("Enter")
		w.until(`document.querySelector(".answer:last-child .text").textContent.length > 3`)
		stop()
		w.until(`document.querySelector(".answer:last-child .note")?.textContent === "Stopped."`)
		if text := w.text(last(".text")); !strings.HasPrefix("A young fox lived at the edge of a forest. One day she found a small bird", text) {
			t.Errorf("what had settled is gone: %q", text)
		}
		equal(t, "can be asked again", ask[bool](w, `document.querySelector("#send-button").hidden`), false)
	}
	p.delay.Store(0)
	w.click(last("[data-action=regenerate]"))
	w.until(`document.querySelector(".answer:last-child .text").textContent.endsWith("sang for her.")`)
	w.quiet(false)
}

// TestSettings holds that what is set is what is asked, that nothing is asked that is not set, and that settings stay.
func TestSettings(t *testing.T) {
	p := inFrontOf(t, serve(t))
	w := open(t, p.url)
	w.send(france)
	equal(t, "a request without settings", p.lastAsked(),
		`{"messages":[{"role":"user","content":"`+france+`"}],"stream":true,"stream_options":{"include_usage":true},"diffusion":{"stream_steps":true}}`)
	w.click("#settings-button")
	for name, value := range map[string]string{
		"system": "You are brief.", "mode": "greedy", "threshold": "0.8", "sub_block_size": "16", "temperature": "0.5", "seed": "7", "max_tokens": "40", "live": "false",
	} {
		w.set("#settings [name="+name+"]", value)
	}
	equal(t, "the model's own sub-block", ask[string](w, `document.querySelector("[name=sub_block_size]").placeholder`), "8")
	equal(t, "a setting of the other dialect is shown", ask[bool](w, `document.querySelector("[name=max_iterations]").checkVisibility()`), false)
	w.click("#settings-form .primary")
	w.send(france)
	var got struct {
		Messages         []struct{ Role, Content string }
		Temperature      float64
		Seed, Max_tokens int
		Diffusion        struct {
			Decode_mode    string
			Threshold      float64
			Sub_block_size int
		}
	}
	if err := json.Unmarshal([]byte(p.lastAsked()), &got); err != nil {
		t.Fatal(err)
	}
	if d := got.Diffusion; d.Decode_mode != "greedy" || d.Threshold != 0.8 || d.Sub_block_size != 16 || got.Temperature != 0.5 || got.Seed != 7 || got.Max_tokens != 40 ||
		got.Messages[0].Role != "system" || got.Messages[0].Content != "You are brief." {
		t.Errorf("asked: %s", p.lastAsked())
	}
	equal(t, "the live view, which is off", ask[int](w, `document.querySelectorAll(".answer:last-child .unmask").length`), 0)
	w.do(chromedp.Reload())
	w.click("#settings-button")
	equal(t, "seed after reloading", ask[string](w, `document.querySelector("[name=seed]").value`), "7")
	w.set("#settings [name=threshold]", "7") // invalid: the last valid one stays
	w.click("#settings-reset")
	equal(t, "seed by default", ask[string](w, `document.querySelector("[name=seed]").value`), "")
	w.click("#settings-form .primary")

	w.click("#theme-button")
	equal(t, "theme", ask[string](w, `getComputedStyle(document.documentElement).colorScheme`), "light")
	w.click("#theme-button")
	w.do(chromedp.Reload())
	w.until(`getComputedStyle(document.documentElement).colorScheme === "dark"`)
	w.quiet(false)
}

// TestLiveView watches an answer come and steps through it afterwards.
func TestLiveView(t *testing.T) {
	p := inFrontOf(t, serve(t))
	p.delay.Store(int64(120 * time.Millisecond))
	w := open(t, p.url)
	w.until("document.querySelector('#model').textContent !== ''")
	w.do(chromedp.Focus("#prompt", chromedp.ByQuery))
	w.write(fox)
	w.press("Enter")
	masks := `document.querySelectorAll(".answer:last-child .cell[data-state=mask]").length`
	settled := `document.querySelectorAll(".answer:last-child .cell:is([data-state=new], [data-state=settled])").length`
	w.until(masks + " > 0 && " + settled + " > 0")
	equal(t, "while it comes the view", ask[string](w, `document.querySelector(".answer:last-child [data-running]").getAttribute("aria-label")`), "Pause")

	// Pause while it comes: the picture stays, the answer goes on; play follows it again.
	w.do(chromedp.Focus(last(".player input"), chromedp.ByQuery))
	w.press(" ")
	position := ask[string](w, `document.querySelector(".answer:last-child .player input").value`)
	w.until(`Number(document.querySelector(".answer:last-child .player input").max) > ` + position + ` + 1`)
	equal(t, "paused at", ask[string](w, `document.querySelector(".answer:last-child .player input").value`), position)

	w.set(last(".player select"), "120")
	w.press("End")
	w.press(" ")
	w.until(`document.querySelector(".answer:last-child .figures").textContent !== ""`)
	equal(t, "followed to the end", ask[bool](w, `(s => s.value === s.max)(document.querySelector(".answer:last-child .player input"))`), true)

	state := func() string {
		return ask[string](w, `[...document.querySelectorAll(".answer:last-child .cell")].map(c => ({mask: "·", prompt: "p", past: "-", off: "-"})[c.dataset.state] ?? c.textContent + "/").join("")`)
	}
	w.click(last(".player [aria-label='To the start']"))
	equal(t, "at the start", strings.ContainsAny(state(), "/"), false)
	w.click(last(".player [aria-label='Next step']"))
	one := state()
	equal(t, "after one step something is settled and something is not", strings.Contains(one, "/") && strings.Contains(one, "·"), true)
	equal(t, "in words", strings.HasPrefix(w.text(last(".unmask-detail")), "1 of "), true)
	w.click(last(".player [aria-label='Next step']"))
	if two := state(); two == one {
		t.Errorf("the second step changes nothing: %s", two)
	}
	w.click(last(".player [aria-label='Previous step']"))
	equal(t, "back again", state(), one)
	w.do(chromedp.Focus(last(".player input"), chromedp.ByQuery))
	w.press("End")
	if end := state(); strings.Contains(end, "·") {
		t.Errorf("masks are left at the end: %s", end)
	}
	w.press("Home")
	w.press("ArrowRight")
	equal(t, "by the slider's keys", state(), one)
	w.set(last(".player select"), "120")
	w.press(" ")
	w.until(`(s => s.value === s.max)(document.querySelector(".answer:last-child .player input"))`)
	equal(t, "after playing the button says", ask[string](w, `document.querySelector(".answer:last-child [data-running]").getAttribute("aria-label")`), "Play")

	// Blocks, bars, the table, a position's details.
	w.click(last(".mini:first-child"))
	equal(t, "the first block", strings.HasPrefix(w.text(last(".unmask-heading")), "Block 1 of"), true)
	w.click(last(".cell[data-state=settled]"))
	if detail := w.text(last(".unmask-detail")); !strings.Contains(detail, "% sure: position ") {
		t.Errorf("of a position: %s", detail)
	}
	w.click(last(".bar:first-child"))
	equal(t, "by its bar", state(), one)
	w.click(last("summary"))
	w.until(`String(document.querySelectorAll(".answer:last-child .unmask-table tbody tr").length) === document.querySelector(".answer:last-child .player input").max`)
	w.quiet(false)
}

// TestCompare puts two settings side by side.
func TestCompare(t *testing.T) {
	p := inFrontOf(t, serve(t))
	w := open(t, p.url)
	w.send(fox)
	w.click(last("[aria-label='Compare two settings']"))
	equal(t, "prompt", ask[string](w, `document.querySelector("#compare-prompt").value`), fox)
	w.set("#compare fieldset:first-of-type input", "0.99")
	w.click("#compare [type=submit]")
	w.until(`document.querySelector("#compare .verdict").textContent.startsWith("Both say the same.")`)
	steps := func(side string) string {
		return w.text("#compare .side:" + side + " .unmask-figures div:first-child dd")
	}
	equal(t, "steps of greedy", steps("last-child"), "3 / 3")
	if steps("first-child") == "3 / 3" {
		t.Error("iterative with a high threshold took as many steps as greedy")
	}
	w.do(chromedp.Focus("#compare > .player input", chromedp.ByQuery))
	w.press("Home")
	equal(t, "both at their start", steps("first-child")[:1]+steps("last-child")[:1], "00")
	w.press("ArrowRight")
	equal(t, "both a step on", steps("first-child")[:1]+steps("last-child")[:1], "11")
	w.press("End")
	equal(t, "the faster one waits at its end", steps("last-child"), "3 / 3")

	// Two thresholds, and only those two are changed.
	w.set("#compare fieldset:last-of-type select", "iterative")
	w.set("#compare fieldset:last-of-type input", "0.5")
	w.click("#compare [type=submit]")
	w.until(`document.querySelector("#compare .verdict").textContent.includes("denoise steps, B")`)
	if !strings.Contains(p.lastAsked(), `"decode_mode":"iterative","threshold":0.5`) {
		t.Errorf("B asked %s", p.lastAsked())
	}
	w.press("K", input.ModifierAlt)
	w.until(`document.querySelector("#compare").hidden`)
	equal(t, "the conversation is as it was", w.text(".question .text"), fox)
	w.quiet(false)
}

// TestKeyboard does everything without a mouse.
func TestKeyboard(t *testing.T) {
	w := open(t, serve(t).url)
	w.until("document.querySelector('#model').textContent !== ''")
	focus := func() string {
		return ask[string](w, `(e => e.id || e.getAttribute("aria-label") || e.textContent)(document.activeElement)`)
	}
	equal(t, "at first the focus is on", focus(), "prompt")
	w.write("What is the capital")
	w.press("Enter", input.ModifierShift)
	w.write("of France?")
	equal(t, "Shift+Enter", ask[string](w, `document.querySelector("#prompt").value`), "What is the capital\nof France?")
	w.press("Enter")
	w.until(`document.querySelector(".answer:last-child .figures")?.textContent`)
	w.press("ArrowUp")
	equal(t, "the last question again", ask[string](w, `document.querySelector("#prompt").value`), "What is the capital\nof France?")
	w.set("#prompt", "")

	// Every control can be reached with Tab, and shows that it has the focus.
	want := map[string]bool{"To the start": false, "Previous step": false, "Play": false, "Step": false, "Speed": false, "Copy": false, "Regenerate": false,
		"Hide how it was written": false, "Compare two settings": false, "prompt": false, "compare-button": false, "theme-button": false, "settings-button": false, "new-button": false}
	for range 60 {
		w.press("Tab")
		name := focus()
		if _, ok := want[name]; ok {
			want[name] = true
		}
		if ask[bool](w, `(e => { const s = getComputedStyle(e); return e !== document.body && s.outlineStyle === "none" && getComputedStyle(e.parentNode).outlineStyle === "none" })(document.activeElement)`) {
			t.Errorf("the focus on %q cannot be seen", name)
		}
	}
	for name, reached := range want {
		if !reached {
			t.Errorf("Tab never reaches %q", name)
		}
	}

	w.press("S", input.ModifierAlt)
	w.until(`document.querySelector("#settings").open`)
	w.press("Escape")
	w.until(`!document.querySelector("#settings").open`)
	w.press("R", input.ModifierAlt)
	w.until(`document.querySelector("#stop-button").hidden && document.querySelector(".answer:last-child .figures")?.textContent`)
	w.press("K", input.ModifierAlt)
	w.until(`!document.querySelector("#compare").hidden`)
	equal(t, "comparing the focus is on", focus(), "compare-prompt")
	w.write(france)
	w.press("Enter")
	w.until(`document.querySelector("#compare .verdict").textContent.startsWith("Both say the same.")`)
	w.press("N", input.ModifierAlt)
	w.until(`document.querySelector("#compare").hidden && document.querySelectorAll("#log > article").length === 0`)
	equal(t, "in a new conversation the focus is on", focus(), "prompt")
	w.quiet(false)
}

// TestDialects shows an autoregressive model and the other dialect as what they are.
func TestDialects(t *testing.T) {
	w := open(t, serve(t, "--mask-token-id", "none").url)
	w.send(france)
	equal(t, "model", w.text("#model"), "wf-tiny · one token at a time")
	equal(t, "tokens after the last", w.text(last(".unmask-figures div:first-child dd")), "12 / 12")
	w.click("#settings-button")
	equal(t, "settings of diffusion are shown", ask[bool](w, `document.querySelector("[name=threshold]").checkVisibility()`), false)
	w.quiet(false)

	w = open(t, serve(t, "--dialect", "wrinklefree").url)
	w.send(france)
	equal(t, "model", w.text("#model"), "wf-tiny · wrinklefree, blocks of 32")
	equal(t, "first position of the block", ask[string](w, `document.querySelector(".answer:last-child .cell").textContent`), "The")
	w.click("#settings-button")
	equal(t, "passes over a block can be set", ask[bool](w, `document.querySelector("[name=max_iterations]").checkVisibility()`), true)
	equal(t, "a sub-block can be set", ask[bool](w, `document.querySelector("[name=sub_block_size]").checkVisibility()`), false)
	w.quiet(false)
}

// TestLeave leaves the page in the middle of an answer, and deletes a conversation in the middle of one.
func TestLeave(t *testing.T) {
	p := inFrontOf(t, serve(t))
	w := open(t, p.url)
	w.until("document.querySelector('#model').textContent !== ''")
	p.delay.Store(int64(200 * time.Millisecond))
	w.start(fox)
	w.until(`document.querySelector(".answer:last-child .text").textContent.length > 3`)
	w.do(chromedp.Reload())
	w.until(`document.querySelector(".answer:last-child .note[data-kind=problem]")`) // that it was left, or, if the browser cut the stream first, that the connection ended
	equal(t, "what had settled", strings.HasPrefix(w.text(last(".text")), "A young fox"), true)
	w.until("document.querySelector('#model').textContent !== ''")
	w.click(last("[data-action=regenerate]"))
	w.until(`document.querySelector(".answer:last-child .text").textContent.length > 3`)
	w.click("#conversations li:first-child .icon-button")
	p.delay.Store(0)
	w.send(france)
	equal(t, "conversations", ask[int](w, `document.querySelectorAll("#conversations li").length`), 1)
	w.quiet(false)
}
