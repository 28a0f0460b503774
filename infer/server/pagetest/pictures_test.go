package pagetest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// pictures is where they go, unless WF_PICTURES says otherwise.
const pictures = "../../../docs/pictures"

// largest is how many bytes a picture may have: they are kept with the source.
const largest = 200 << 10

// picture writes what the window shows.
func (w *window) picture(name string) {
	w.t.Helper()
	var png []byte
	w.do(chromedp.CaptureScreenshot(&png))
	w.keep(name, png)
}

// elementPicture writes what one element shows.
func (w *window) elementPicture(name, selector string) {
	w.t.Helper()
	var png []byte
	w.do(chromedp.Screenshot(selector, &png, chromedp.ByQuery))
	w.keep(name, png)
}

func (w *window) keep(name string, png []byte) {
	w.t.Helper()
	if len(png) > largest {
		w.t.Errorf("%s has %d bytes", name, len(png))
	}
	folder := cmp.Or(os.Getenv("WF_PICTURES"), pictures)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name), png, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// TestPictures makes the pictures of docs/page.md and README.md.
func TestPictures(t *testing.T) {
	w := open(t, serve(t).url)
	w.scheme("light")
	w.send(france)
	w.click("#settings-button")
	w.set("#settings [name=threshold]", "0.9997")  // so that this small model, which is sure of everything, takes many steps,
	w.set("#settings [name=sub_block_size]", "32") // anywhere in the block
	w.click("#settings-form .primary")
	w.send(fox)
	w.at(12)
	w.do(chromedp.Evaluate(`document.querySelector("#log").scrollTop = 1e6`, nil))
	w.picture("page-light.png")
	w.scheme("dark")
	w.picture("page-dark.png")
	w.elementPicture("live-view.png", last(".unmask"))
	w.click("#settings-button")
	w.picture("page-settings.png")
	w.press("Escape")

	w.scheme("light")
	w.click(last("[aria-label='Compare two settings']"))
	w.do(emulation.SetDeviceMetricsOverride(1180, 1080, 1, false))
	w.set("#compare fieldset:first-of-type input", "0.9995")
	w.click("#compare [type=submit]")
	w.until(`document.querySelector("#compare .verdict").textContent.startsWith("Both say the same.")`)
	w.do(chromedp.Evaluate(`{const s = document.querySelector("#compare > .player input"); s.value = 9; s.dispatchEvent(new Event("input"))}`, nil))
	w.picture("page-compare.png")

	w.press("K", input.ModifierAlt)
	w.scheme("dark")
	w.phone()
	w.at(12)
	w.do(chromedp.Evaluate(`document.querySelector(".answer:last-child .unmask").scrollIntoView({block: "start"})`, nil))
	w.picture("page-phone.png")
	w.quiet(false)
}

// at shows the last answer after so many steps.
func (w *window) at(step int) {
	w.t.Helper()
	w.do(chromedp.Evaluate(fmt.Sprintf(`{const s = document.querySelector(".answer:last-child .player input"); s.value = %d; s.dispatchEvent(new Event("input"))}`, step), nil))
}
