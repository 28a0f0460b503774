//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// nosy are requests that name paths and addresses wherever a text may stand, or where other servers read one: NAME is replaced by each.
var nosy = []struct{ path, body string }{
	{"/v1/chat/completions", `{"model":"NAME","messages":[{"role":"user","content":"Hi"}]}`},
	{"/v1/chat/completions", `{"messages":[{"role":"user","content":"NAME","name":"NAME","NAME":"NAME"}],"user":"NAME","stop":["NAME"],"max_tokens":4,"metadata":{"file":"NAME"}}`},
	{"/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"NAME"}}]}]}`},
	{"/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"NAME","filename":"NAME"}}]}]}`},
	{"/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"NAME"}}]}]}`},
	{"/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"chat_template":"{% include 'NAME' %}","chat_template_kwargs":{"NAME":"NAME"}}`},
	{"/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"NAME"}}}}`},
	{"/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"NAME"}}],"web_search_options":{"url":"NAME"}}`},
	{"/v1/completions", `{"prompt":"NAME","suffix":"NAME","max_tokens":4}`},
	{"/v1/completions", `{"prompt":"NAME","lora":"NAME","max_tokens":4,"grammar":"NAME","extra_body":{"path":"NAME"}}`},
	{"/completion", `{"prompt":"NAME","n_predict":4,"grammar":"NAME","slot_save_path":"NAME","filename":"NAME","lora":[{"path":"NAME"}]}`},
	{"/tokenize", `{"content":"NAME"}`}, {"/detokenize", `{"tokens":["NAME"]}`},
	{"/apply-template", `{"messages":[{"role":"system","content":"NAME"},{"role":"user","content":"NAME"}]}`},
}

// ofTheMachine are the files that say how much memory a request may take.
var ofTheMachine = regexp.MustCompile(`"(/proc/meminfo|/proc/self/cgroup|/sys/fs/cgroup/[^"]*)"`)

// TestServeTrace watches the system calls of a server. It needs strace: where WF_STRACE is set, as in CI, it fails without.
func TestServeTrace(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil && os.Getenv("WF_STRACE") == "" {
		t.Skip("R128 needs strace; CI has it")
	} else if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "trace")
	marker := filepath.Join(t.TempDir(), "secret-marker")
	if err := os.WriteFile(marker, []byte("a secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	// With -D the process that is started is wf, and strace its grandchild.
	r := &running{Cmd: exec.Command(strace, "-D", "-f", "-qq", "-e", "trace=%file,connect", "-o", log, "wf", "serve", "--port", "0")}
	r.start(t)
	r.wait(t, "wf: ready")
	read := func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if resp, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(france)); err == nil { // the first line of a log reads the time zone
		resp.Body.Close()
	}
	time.Sleep(20 * time.Millisecond) // for strace to have written all
	before := read()
	if !strings.Contains(before, "openat(") {
		t.Fatalf("strace sees no file being opened: %s", before)
	}
	t.Run("R128", func(t *testing.T) {
		answered := 0
		for _, name := range []string{marker, "../../" + marker, "file://" + marker, "http://127.0.0.1:9/secret-marker", "https://secret-marker.example/x", `\\\\secret-marker\\share`} {
			for _, q := range nosy {
				resp, err := http.Post(r.url+q.path, "application/json", strings.NewReader(strings.ReplaceAll(q.body, "NAME", name)))
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode >= 500 || strings.Contains(string(text), "a secret") {
					t.Errorf("%s %s: %v %s %s", q.path, q.body, err, resp.Status, text)
				}
				if resp.StatusCode == 200 {
					answered++
				}
			}
			for _, path := range []string{"/v1/models/" + strings.ReplaceAll(name, "/", "%2F"), "/static/" + name, "/?file=" + name} {
				if resp, err := http.Get(r.url + path); err == nil {
					resp.Body.Close()
				}
			}
		}
		if answered < 6 {
			t.Errorf("%d requests were answered", answered)
		}
		time.Sleep(20 * time.Millisecond)
		calls := strings.TrimPrefix(read(), before)
		for line := range strings.Lines(calls) {
			if !ofTheMachine.MatchString(line) && strings.Contains(line, "(") {
				t.Errorf("a system call: %s", line)
			}
		}
		if !strings.Contains(calls, "/proc/meminfo") {
			t.Errorf("strace sees nothing: %s", fmt.Sprintf("%.500s", calls))
		}
	})
}
