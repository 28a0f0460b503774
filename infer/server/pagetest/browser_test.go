// Package pagetest drives Chromium against the page of a real wf serve. It is a module of its own, so that what drives it is no dependency of wf.
package pagetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long anything may take: a browser on a busy machine.
const patience = 20 * time.Second

// window is a browser with a profile of its own: no history, no storage.
type window struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the console has of warnings, errors and exceptions
	failed   []string // what the console has of requests that failed; where a server is meant to fail the browser logs that
	hosts    map[string]bool
}

// open starts a browser and loads a page in it.
func open(t *testing.T, url string) *window {
	t.Helper()
	allocator, end := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // this may run as root, and shows nothing but our own page
		chromedp.WindowSize(1180, 820))...)
	t.Cleanup(end)
	ctx, closeBrowser := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {})) // it logs events that are newer than it
	t.Cleanup(closeBrowser)
	w := &window{t: t, ctx: ctx, hosts: map[string]bool{}}
	chromedp.ListenTarget(ctx, w.listen)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal("no Chromium: ", err)
	}
	w.do(network.Enable(), log.Enable(), emulation.SetDeviceMetricsOverride(1180, 820, 1, false), chromedp.Navigate(url))
	return w
}

func (w *window) listen(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		w.problems = append(w.problems, "exception: "+e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
			w.problems = append(w.problems, fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		switch {
		case e.Entry.Source == log.SourceNetwork:
			w.failed = append(w.failed, e.Entry.Text)
		case e.Entry.Level != log.LevelInfo && e.Entry.Level != log.LevelVerbose:
			w.problems = append(w.problems, "log: "+e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if _, rest, ok := strings.Cut(e.Request.URL, "://"); ok {
			host, _, _ := strings.Cut(rest, "/")
			w.hosts[host] = true
		}
	}
}

// quiet fails if the console has an error or a warning; of requests too, unless the server was meant to fail.
func (w *window) quiet(serverFails bool) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.problems {
		w.t.Error(p)
	}
	if !serverFails {
		for _, f := range w.failed {
			w.t.Error("request: " + f)
		}
	}
}

func (w *window) do(actions ...chromedp.Action) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		w.t.Fatal(err)
	}
}

// ask evaluates JavaScript in the page.
func ask[T any](w *window, script string) (value T) {
	w.t.Helper()
	w.do(chromedp.Evaluate(script, &value, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return value
}

// until waits for a condition in JavaScript.
func (w *window) until(condition string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	var ok bool
	if err := chromedp.Run(ctx, chromedp.Poll("Boolean("+condition+")", &ok, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(0))); err != nil {
		w.t.Fatalf("never: %s (%v)\n%s", condition, err, ask[string](w, "document.body.innerText.replaceAll(\"\\n\", \" \")"))
	}
}

// click clicks the visible element that a selector finds, as a mouse would.
func (w *window) click(selector string) {
	w.t.Helper()
	w.do(chromedp.ScrollIntoView(selector, chromedp.ByQuery), chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// scheme makes the system light or dark, without motion, so that what is seen or measured has settled.
func (w *window) scheme(name string) {
	w.t.Helper()
	w.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// phone makes the window as wide as a phone.
func (w *window) phone() {
	w.t.Helper()
	w.do(emulation.SetDeviceMetricsOverride(390, 844, 2, true))
}

// keys that do something besides writing a letter, as the keyboard has them.
var keys = map[string]struct {
	code    string
	virtual int64
	text    string
}{
	"Enter": {"Enter", 13, "\r"}, "Escape": {"Escape", 27, ""}, "Tab": {"Tab", 9, ""}, " ": {"Space", 32, " "},
	"ArrowLeft": {"ArrowLeft", 37, ""}, "ArrowUp": {"ArrowUp", 38, ""}, "ArrowRight": {"ArrowRight", 39, ""}, "ArrowDown": {"ArrowDown", 40, ""},
	"Home": {"Home", 36, ""}, "End": {"End", 35, ""},
}

// press presses a key where the focus is: one of keys, or a letter with Alt.
func (w *window) press(key string, modifiers ...input.Modifier) {
	w.t.Helper()
	k, known := keys[key]
	if !known {
		k.code, k.virtual = "Key"+key, int64(key[0])
	}
	down, up := input.DispatchKeyEvent(input.KeyDown), input.DispatchKeyEvent(input.KeyUp)
	for _, e := range []*input.DispatchKeyEventParams{down, up} {
		e.Key, e.Code, e.WindowsVirtualKeyCode, e.NativeVirtualKeyCode = key, k.code, k.virtual, k.virtual
		for _, m := range modifiers {
			e.Modifiers |= m
		}
	}
	down.Text = k.text
	w.do(down, up)
}

// write types text where the focus is.
func (w *window) write(text string) {
	w.t.Helper()
	w.do(input.InsertText(text))
}

// set gives a field a value, as if a user had changed it.
func (w *window) set(selector, value string) {
	w.t.Helper()
	w.do(chromedp.Evaluate(fmt.Sprintf(`{const f = document.querySelector(%q); if (f.type === "checkbox") f.checked = %q === "true"; else f.value = %q;
		f.dispatchEvent(new Event("input", {bubbles: true})); f.dispatchEvent(new Event("change", {bubbles: true}));}`, selector, value, value), nil))
}

// text is what an element shows.
func (w *window) text(selector string) string {
	w.t.Helper()
	return ask[string](w, fmt.Sprintf("document.querySelector(%q)?.innerText ?? 'no %s'", selector, selector))
}

// start types a question and sends it, and waits for nothing.
func (w *window) start(question string) {
	w.t.Helper()
	w.until(`!document.querySelector("#send-button").hidden && document.querySelector("#model").textContent !== ""`)
	w.do(chromedp.Focus("#prompt", chromedp.ByQuery))
	w.write(question)
	w.press("Enter")
}

// send asks a question by keyboard and waits for the whole answer.
func (w *window) send(question string) {
	w.t.Helper()
	w.start(question)
	w.until("!document.querySelector('#send-button').hidden && document.querySelector('.answer:last-child .figures')?.textContent")
}
