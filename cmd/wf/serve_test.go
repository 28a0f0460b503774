//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running is a wf serve of its own, as a system starts it.
type running struct {
	*exec.Cmd
	url   string
	log   io.ReadCloser
	lines *bufio.Scanner
}

// startServe starts one and waits until it is ready.
func startServe(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{Cmd: exec.Command("wf", append([]string{"serve", "--port", "0"}, args...)...)}
	r.start(t)
	r.wait(t, "wf: ready")
	return r
}

func (r *running) start(t *testing.T) {
	t.Helper()
	var err error
	if r.log, err = r.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Process.Kill(); r.Wait() })
	r.lines = bufio.NewScanner(r.log)
}

// wait reads the log up to a line with this text, and notes where the server listens.
func (r *running) wait(t *testing.T, text string) {
	t.Helper()
	for r.lines.Scan() {
		if _, rest, ok := strings.Cut(r.lines.Text(), "listening on "); ok {
			r.url, _, _ = strings.Cut(rest, ";")
		}
		if strings.Contains(r.lines.Text(), text) {
			return
		}
	}
	t.Fatalf("wf serve ended before it said %q", text)
}

// end waits for the process and returns its exit status and what it logged.
func (r *running) end() (int, string) {
	var text strings.Builder
	for r.lines.Scan() {
		text.WriteString(r.lines.Text() + "\n")
	}
	r.Wait()
	return r.ProcessState.ExitCode(), text.String()
}

// france is what the demonstration model answers with "The capital of France is Paris."
const france = `{"messages":[{"role":"user","content":"What is the capital of France?"}]}`

func TestServeSignals(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run("R111 idle "+name, func(t *testing.T) {
			r := startServe(t)
			resp, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(france))
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if !strings.Contains(string(text), "Paris") {
				t.Errorf("%s", text)
			}
			r.Process.Signal(signal)
			if status, text := r.end(); status != 0 || !strings.Contains(text, "draining") || strings.Contains(text, "Paris") || strings.Contains(text, "France") {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
	t.Run("R113 port in use", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		cmd := exec.Command("wf", "serve", "--port", port)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 5 || !strings.Contains(string(out), port) || !strings.Contains(string(out), "LISTEN_FAILED") {
			t.Errorf("%d %s", cmd.ProcessState.ExitCode(), out)
		}
	})
	t.Run("R121 R127 what the start says", func(t *testing.T) {
		r := startServe(t, "--api-key", "a-very-secret-key", "--log-bodies", "--log-format", "json")
		r.Process.Signal(syscall.SIGTERM)
		if status, text := r.end(); status != 0 || strings.Contains(text, "a-very-secret-key") {
			t.Errorf("%d %s", status, text)
		}
	})
	t.Run("unix socket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		r := startServe(t, "--host", "unix:"+path)
		client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.DialTimeout("unix", path, time.Second)
		}}}
		resp, err := client.Get("http://wf/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Data []struct{ ID string } }
		err = json.NewDecoder(resp.Body).Decode(&list)
		resp.Body.Close()
		if err != nil || len(list.Data) != 1 || list.Data[0].ID != "wf-tiny" {
			t.Errorf("%v %+v", err, list)
		}
		r.Process.Signal(syscall.SIGTERM)
		if status, text := r.end(); status != 0 {
			t.Errorf("%d %s", status, text)
		}
	})
}
