package pagetest

import (
	"context"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// lowContrast is JavaScript that lists the visible texts, and the borders of what can be typed into, whose contrast is below what WCAG 2.1 AA asks for:
// 4.5 for text, 3 for large text and borders. Colours are painted on a canvas, which knows every notation, and laid over each other.
const lowContrast = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const rgba = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
		return [r, g, b, a / 255];
	};
	const over = (top, bottom) => [0, 1, 2].map((i) => top[i] * top[3] + bottom[i] * (1 - top[3])).concat(1);
	const ground = (e) => {
		const layers = [];
		for (; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
		return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
	};
	const luminance = ([r, g, b]) => {
		const [R, G, B] = [r, g, b].map((c) => (c / 255 <= .04045 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4));
		return .2126 * R + .7152 * G + .0722 * B;
	};
	const contrast = (a, b) => {
		const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
		return (high + .05) / (low + .05);
	};
	const low = [];
	let seen = 0;
	const check = (what, color, below, least) => {
		seen++;
		const ratio = contrast(over(rgba(color), below), below);
		if (!(ratio >= least)) low.push(what + ": " + ratio.toFixed(2));
	};
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement;
		if (!texts.currentNode.data.trim() || !e.checkVisibility({opacityProperty: true, visibilityProperty: true}) || e.closest(".visually-hidden, .skip, noscript")) continue;
		const s = getComputedStyle(e);
		const large = parseFloat(s.fontSize) >= 24 || (parseFloat(s.fontSize) >= 18.66 && s.fontWeight >= 700);
		check(e.className + " " + texts.currentNode.data.trim().slice(0, 30), s.color, ground(e), large ? 3 : 4.5);
	}
	for (const e of document.querySelectorAll("input, select, textarea")) {
		if (!e.checkVisibility()) continue;
		check(e.tagName + " " + e.name, getComputedStyle(e).color, ground(e), 4.5);
		if (e.placeholder) check("placeholder " + e.name, getComputedStyle(e, "::placeholder").color, ground(e), 4.5);
		const framed = e.id === "prompt" ? e.parentElement : e;
		const s = getComputedStyle(framed);
		if (s.borderTopStyle === "solid" && !e.closest(".player")) check("border " + e.name, s.borderTopColor, ground(framed.parentElement), 3);
	}
	const cell = document.querySelector(".answer .cell:is([data-state=new], [data-state=settled])");
	for (let sure = 0; cell && sure <= 1; sure += .05) { // every confidence, whatever this answer has
		const was = cell.style.getPropertyValue("--sure");
		cell.style.setProperty("--sure", sure);
		check("a token at sureness " + sure.toFixed(2), getComputedStyle(cell).color, ground(cell), 4.5);
		cell.style.setProperty("--sure", was);
	}
	if (seen < 15) low.push("only " + seen + " texts were found");
	return low;
})()`

// TestContrast measures every state of the page in both themes.
func TestContrast(t *testing.T) {
	w := open(t, serve(t).url)
	w.until("document.querySelector('#model').textContent !== ''")
	measure := func(what string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			w.scheme(scheme)
			for _, low := range ask[[]string](w, lowContrast) {
				t.Errorf("%s, %s: %s", what, scheme, low)
			}
		}
	}
	measure("welcome")
	w.send(france)
	measure("answer")
	w.click(last(".player [aria-label='Previous step']"))
	w.click(last("summary"))
	measure("in the middle of an answer")
	w.click("#settings-button")
	measure("settings")
	w.press("Escape")
	w.click("#compare-button")
	w.set("#compare-prompt", france)
	w.click("#compare [type=submit]")
	w.until(`document.querySelector("#compare .verdict").textContent.startsWith("Both say the same.")`)
	measure("comparison")
	w.quiet(false)
}

// TestNames holds that a screen reader has a name for everything that can be used, and a live region for what happens.
func TestNames(t *testing.T) {
	w := open(t, serve(t).url)
	w.send(france)
	roles := []string{"button", "textbox", "combobox", "slider", "spinbutton", "checkbox", "dialog", "list", "region", "log", "group"}
	check := func(what string, least int) {
		t.Helper()
		var nodes []*accessibility.Node
		w.do(chromedp.ActionFunc(func(ctx context.Context) (err error) { nodes, err = accessibility.GetFullAXTree().Do(ctx); return err }))
		named := 0
		for _, n := range nodes {
			if n.Ignored || n.Role == nil || !slices.Contains(roles, string(n.Role.Value[1:len(n.Role.Value)-1])) {
				continue
			}
			if n.Name != nil && string(n.Name.Value) != `""` {
				named++
				continue
			}
			if role := string(n.Role.Value); role != `"list"` && role != `"group"` {
				t.Errorf("%s: a %s without a name", what, role)
			}
		}
		if named < least {
			t.Errorf("%s: only %d named controls", what, named)
		}
	}
	check("chat", 20)
	w.click("#settings-button")
	check("settings", 10)
	w.press("Escape")
	w.click("#compare-button")
	check("comparison", 10)
	if got := ask[string](w, `document.querySelector("#announcement").ariaLive + document.querySelector("#state").role + document.documentElement.lang`); got != "politestatusen" {
		t.Errorf("live regions and language: %s", got)
	}
}

// TestMotion holds that nothing moves where the system asks for less motion, and that something does where it does not.
func TestMotion(t *testing.T) {
	w := open(t, serve(t).url)
	w.send(fox)
	moving := `(document.querySelector(".answer:last-child .player [aria-label='To the start']").click(),
		document.querySelector(".answer:last-child .player [aria-label='Next step']").click(), document.getAnimations().length)`
	if ask[int](w, moving) == 0 {
		t.Error("tokens settle without a motion, so that this test shows nothing")
	}
	w.until("document.getAnimations().length === 0") // those that run already go on
	w.scheme("light")
	equal(t, "motions though the system asks for less", ask[int](w, moving), 0)
}

// TestNarrow holds that nothing is wider than a phone, and that fingers can hit what is there.
func TestNarrow(t *testing.T) {
	w := open(t, serve(t).url)
	w.send(fox)
	w.phone()
	wide := `[...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && !e.closest(".skip, .visually-hidden") && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className || e.tagName)`
	for _, e := range ask[[]string](w, wide) {
		t.Errorf("%s is wider than the window", e)
	}
	small := `[...document.querySelectorAll("button, select, #log summary")].filter(e => e.checkVisibility() && !e.matches(".link, .mini, summary") && e.getBoundingClientRect().height < 24).map(e => e.textContent)`
	for _, e := range ask[[]string](w, small) { // WCAG 2.2 AA: 24 pixels
		t.Errorf("%q is too small for a finger", e)
	}
	w.click("#drawer-button")
	w.until(`document.querySelector("#new-button").checkVisibility() && document.activeElement.id === "new-button"`)
	w.press("Escape")
	w.until(`!document.querySelector("#new-button").checkVisibility()`)
	w.click("#compare-button")
	for _, e := range ask[[]string](w, wide) {
		t.Errorf("comparison: %s is wider than the window", e)
	}
	w.do(emulation.ClearDeviceMetricsOverride())
	w.quiet(false)
}
