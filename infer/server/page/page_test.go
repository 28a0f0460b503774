package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
)

// TestFiles holds what Policy relies on: no host but the server's, no script or style inside HTML, and no way to make elements of text.
func TestFiles(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		"a host":              regexp.MustCompile(`(?i)(https?:)?//[a-z0-9-]+\.[a-z]|wss?://|@import|url\(`),
		"an inline script":    regexp.MustCompile(`(?i)<script(?: [^>]*)?>[^<]|\son[a-z]+="|javascript:`),
		"an inline style":     regexp.MustCompile(`(?i)<style|\sstyle=`),
		"text parsed as HTML": regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|setAttribute\("style"`),
	}
	seen := 0
	for _, f := range Files() {
		seen++
		if f.Type == "" || len(f.Body) == 0 || len(f.ETag) < 40 {
			t.Errorf("%s: type %q, %d bytes, ETag %s", f.Path, f.Type, len(f.Body), f.ETag)
		}
		text := strings.ReplaceAll(string(f.Body), "http://www.w3.org/2000/svg", "") // a name, not an address
		for what, pattern := range forbidden {
			if found := pattern.FindString(text); found != "" {
				t.Errorf("%s has %s: %q", f.Path, what, found)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d files", seen)
	}
}

// TestReferences holds that every file that another names is there, so that nothing is asked of a server in vain.
func TestReferences(t *testing.T) {
	have := map[string]bool{}
	for _, f := range Files() {
		have[f.Path] = true
	}
	reference := regexp.MustCompile(`(?:href|src)="(?:page/)([^"]+)"|from "\./([^"]+)"`)
	found := 0
	for _, f := range Files() {
		for _, m := range reference.FindAllStringSubmatch(string(f.Body), -1) {
			found++
			if name := "/page/" + m[1] + m[2]; !have[name] {
				t.Errorf("%s refers to %s, which is not there", f.Path, name)
			}
		}
	}
	if found < 8 {
		t.Errorf("%d references", found)
	}
}

func confidence(c float32) *float32 { return &c }

// TestWriteReplay holds that a recording cannot leave its element, that the policy allows exactly the script and the style that are there, and that the
// recording reads back.
func TestWriteReplay(t *testing.T) {
	hostile := `</script><script>alert(1)</script><!-- & "quoted" {{.}} ` + "\u2028"
	want := Replay{
		Title: hostile, Model: "</title>" + hostile, BlockSize: 4, End: 3, Text: hostile, Prompt: []Token{{7, "<|user|>"}, {8, hostile}},
		Steps: []Step{
			{Event: "denoise", Step: 1, Sub: new(int), Take: []Take{{2, 304, hostile, confidence(0.75)}}},
			{Event: "next", Block: 4, Take: []Take{{Position: 4, ID: 3}}},
		},
	}
	var b bytes.Buffer
	if err := WriteReplay(&b, want); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	part := func(pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindAllStringSubmatch(html, -1)
		if len(m) != 1 {
			t.Fatalf("%s: %d times", pattern, len(m))
		}
		return m[0][1]
	}
	script, style := part(`(?s)<script type="module">(.*?)</script>`), part(`(?s)<style>(.*?)</style>`)
	policy := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(part(`http-equiv="Content-Security-Policy" content="([^"]*)"`))
	for _, want := range []string{"default-src 'none'", "script-src '" + sum(script) + "'", "style-src '" + sum(style) + "'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %s lacks %s", policy, want)
		}
	}
	if strings.Count(html, "<script") != 2 || strings.Contains(policy, "unsafe") || regexp.MustCompile(`(?m)^import `).MatchString(script) {
		t.Error("a script too many, or one that needs another")
	}
	var got Replay
	if err := json.Unmarshal([]byte(part(`(?s)<script type="application/json" id="recording">(.*?)</script>`)), &got); err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(got)
	first, _ := json.Marshal(want)
	if !bytes.Equal(again, first) {
		t.Errorf("the recording reads back as %s", again)
	}
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(s[:])
}

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriteReplayFull(t *testing.T) {
	if err := WriteReplay(&full{100}, Replay{}); err == nil {
		t.Error("no error of a writer that is full")
	}
}
