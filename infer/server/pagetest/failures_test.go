package pagetest

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestServerDies kills the server in the middle of an answer and starts it again.
func TestServerDies(t *testing.T) {
	port := freePort(t)
	s := serve(t, "--port", port)
	w := open(t, s.url)
	w.send(france)
	s.kill()
	w.start("What is 12 plus 10?")
	w.until(`document.querySelector(".answer:last-child .note[data-kind=problem]")?.textContent === "The server does not answer."`)
	w.until(`document.querySelector("#state").textContent.startsWith("The server does not answer.")`)
	equal(t, "what was said before is there", w.text(".answer .text"), paris)
	equal(t, "nothing can be sent", ask[bool](w, `document.querySelector("#send-button").disabled`), true)
	serve(t, "--port", port)
	w.until(`document.querySelector("#state").hidden`)
	w.click(last("[data-action=regenerate]"))
	w.until(`document.querySelector(".answer:last-child .text").textContent === "12 + 10 = 22."`)
	w.quiet(true)
}

// TestConnectionBreaks ends the connection in the middle of a stream: what had settled stays, and is said to be incomplete.
func TestConnectionBreaks(t *testing.T) {
	s := serve(t)
	p := inFrontOf(t, s)
	w := open(t, p.url)
	w.until("document.querySelector('#model').textContent !== ''")
	p.delay.Store(int64(200 * time.Millisecond))
	w.start(fox)
	w.until(`document.querySelector(".answer:last-child .text").textContent.length > 3`)
	p.cut()
	w.until(`document.querySelector(".answer:last-child .note[data-kind=problem]")?.textContent.startsWith("The connection ended before the answer did.")`)
	equal(t, "what had settled", strings.HasPrefix(w.text(last(".text")), "A young fox"), true)
	w.quiet(true)
}

// TestStates shows what the page says of a server that is loading, draining or full, and that it goes on by itself.
func TestStates(t *testing.T) {
	p := inFrontOf(t, serve(t))
	p.fail("/readyz", "loading", 2)
	w := open(t, p.url)
	w.until(`document.querySelector("#state").textContent.startsWith("The model is being loaded.")`)
	equal(t, "while it loads an example can be asked", ask[bool](w, `document.querySelector(".examples button").disabled`), true)
	w.until(`document.querySelector("#state").hidden && !document.querySelector(".examples button").disabled`)

	p.fail("/v1/chat/completions", "overloaded", 2)
	w.start(france)
	w.until(`/The server is busy: its queue is full. Asking again in [12] s./.test(document.querySelector("#state").textContent)`)
	w.until(`document.querySelector(".answer:last-child .text").textContent === "` + paris + `"`)
	w.until(`document.querySelector("#state").hidden`)

	p.fail("/v1/chat/completions", "overloaded", 1000)
	w.start(france)
	w.until(`document.querySelector("#state").textContent.startsWith("The server is busy")`)
	w.press("Escape")
	w.until(`document.querySelector("#state").hidden && !document.querySelector("#send-button").hidden`)

	p.fail("/v1/chat/completions", "draining", 1)
	p.fail("/readyz", "draining", 1000)
	w.start(france)
	w.until(`document.querySelector("#state").textContent.startsWith("The server is shutting down")`)
	w.quiet(true)
}

// TestRefused shows an error that trying again would not mend, with the request's name in the server's log.
func TestRefused(t *testing.T) {
	p := inFrontOf(t, serve(t))
	w := open(t, p.url)
	w.until("document.querySelector('#model').textContent !== ''")
	w.click("#settings-button")
	w.set("#settings [name=sub_block_size]", "7")
	w.click("#settings-form .primary")
	w.start(france)
	w.until(`/sub_block_size.*\(invalid_value, req_/.test(document.querySelector(".answer:last-child .note[data-kind=problem]")?.textContent)`)
	w.click("#settings-button")
	w.click("#settings-reset")
	w.click("#settings-form .primary")
	w.send(france)
	equal(t, "the model hears of the question that was refused", strings.Count(p.lastAsked(), "role"), 1)
	w.quiet(true)
}

// TestKey asks for the key of a server that wants one, says when it is wrong, and keeps it in the tab only if told to.
func TestKey(t *testing.T) {
	t.Setenv("WF_API_KEY", "the key of this test")
	w := open(t, serve(t).url)
	w.until(`document.querySelector("#key").open`)
	w.write("a wrong one")
	w.press("Enter")
	w.until(`document.querySelector("#key-problem").checkVisibility() && document.querySelector("#key-problem").textContent.includes("did not accept")`)
	w.do(chromedp.Focus("#key [name=key]", chromedp.ByQuery))
	w.write("the key of this test")
	w.press("Enter")
	w.send(france)
	equal(t, "answer", w.text(last(".text")), paris)
	stored := `JSON.stringify([{...localStorage}, {...sessionStorage}]).includes("the key of this test")`
	equal(t, "the key is stored though nobody said so", ask[bool](w, stored), false)
	w.do(chromedp.Reload())
	w.until(`document.querySelector("#key").open`)
	w.write("the key of this test")
	w.click("#key [name=keep]")
	w.click("#key .primary")
	w.until("document.querySelector('#model').textContent !== ''")
	w.do(chromedp.Reload())
	w.until("document.querySelector('#model').textContent !== ''")
	equal(t, "the key is asked for though it was kept", ask[bool](w, `document.querySelector("#key").open`), false)
	equal(t, "the key is in localStorage", ask[bool](w, `JSON.stringify({...localStorage}).includes("the key of this test")`), false)
	w.quiet(true)
}

// TestText shows HTML in questions and answers as text, in the chat, the live view and the list of conversations.
func TestText(t *testing.T) {
	p := inFrontOf(t, serve(t))
	hostile := `<img src=x onerror=document.title=1><b>bold</b>`
	p.edit.Store(&[2]string{" Paris.", hostile})
	w := open(t, p.url)
	w.send(france)
	equal(t, "answer", w.text(last(".text")), "The capital of France is"+hostile)
	p.edit.Store(&[2]string{`"text":"The"`, `"text":"<b id=made>The</b>"`})
	w.send(hostile)
	w.send(france)
	w.click(last(".player [aria-label='To the end']"))
	w.click(last("summary"))
	equal(t, "question", w.text(".question:nth-of-type(3) .text"), hostile)
	equal(t, "elements made of text", ask[int](w, `document.querySelectorAll("#log b, #log img, #made, #drawer b, #drawer img").length`), 0)
	if !strings.Contains(ask[string](w, `document.querySelector(".answer:last-child .block").textContent`), "<b id=made>The</b>") {
		t.Error("the live view does not show the text")
	}
	w.quiet(false)
}
