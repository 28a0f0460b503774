// Package page is what a browser shows of wf serve: a chat with a live view of the block being unmasked, in plain HTML, CSS and JavaScript, without a
// build step and without the network. infer/server serves its files; WriteReplay puts the live view and a recorded answer into one file.
//
//	index.html   the page's parts, by their roles; no script and no style in it
//	page.css     how the page looks; unmask.css has the colours and the live view
//	app.js       the chat: what is typed, sent, shown and kept
//	api.js       requests to the server, its events, and what its errors mean
//	store.js     conversations and settings in the browser
//	settings.js  the dialog of settings, and how they become members of a request
//	compare.js   two settings side by side on one prompt
//	unmask.js    the live view: unmask.js and dom.js are all that a replay needs
//	replay.js    shows the recording in a file of WriteReplay
//	dom.js       elements made of text nodes; nothing here parses HTML
//
// Everything that a model says becomes a text node, and Policy lets nothing run but these files.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"path"
	"sync"
)

// Policy is the Content-Security-Policy of the page: its own files, its own server, and nothing else.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed index.html *.css *.js icon.svg
var assets embed.FS

// File is one file of the page as HTTP has it.
type File struct {
	Path string // of its URL: / for index.html, /page/app.js
	Type string // Content-Type
	ETag string // quoted, of the content
	Body []byte
}

var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// Files returns all files of the page.
var Files = sync.OnceValue(func() (files []File) {
	entries, err := assets.ReadDir(".")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		f := File{Path: "/page/" + e.Name(), Type: types[path.Ext(e.Name())], Body: asset(e.Name())}
		if e.Name() == "index.html" {
			f.Path = "/"
		}
		f.ETag = `"` + digest(f.Body) + `"`
		files = append(files, f)
	}
	return files
})

func asset(name string) []byte {
	body, err := assets.ReadFile(name)
	if err != nil {
		panic(err) // embedded
	}
	return body
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}
