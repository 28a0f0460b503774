//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer/synthetic"
	"github.com/wrinklefree/wf/quant"
)

// sparse writes a model of a shape whose weights are all zero, as a file that takes no room: only the header is written.
func sparse(t *testing.T, shape synthetic.Shape, typ gguf.Type) string {
	t.Helper()
	decided, err := shape.File(quant.Types{Type: typ}, "test")
	if err != nil {
		t.Fatal(err)
	}
	var infos []gguf.TensorInfo
	for _, x := range decided.Tensors {
		infos = append(infos, gguf.TensorInfo{Name: x.Name, Type: x.Type, Dims: x.Dims})
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := gguf.NewWriter(f, decided.Metadata, infos)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(w.Size())); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// within is a bound of time, which slow machines stretch.
func within(d time.Duration) time.Duration {
	if n, err := strconv.Atoi(os.Getenv("WF_TEST_SLOWNESS")); err == nil {
		d *= time.Duration(n)
	}
	return d
}

// TestLargerThanMemory asks for a model of terabytes.
func TestLargerThanMemory(t *testing.T) {
	shape, _ := synthetic.Find("smollm-135m")
	shape.Layers, shape.Hidden, shape.FeedForward, shape.Heads, shape.KVHeads, shape.HeadDim = 200, 8192, 65536, 64, 64, 128
	path := sparse(t, shape, gguf.F32)
	for name, shell := range map[string]string{
		"serve, which must not map it": `ulimit -v 8388608 2>/dev/null; exec wf serve --port 0 -m "$0"`, // or the map would fail first
		"generate":                     `exec wf generate -m "$0" Hi`,
	} {
		t.Run("R114 "+name, func(t *testing.T) {
			began := time.Now()
			cmd := exec.Command("sh", "-c", shell, path)
			out, _ := cmd.CombinedOutput()
			text := string(out)
			if status := cmd.ProcessState.ExitCode(); status != exitLimit || !strings.Contains(text, "[MEMORY_ESTIMATE]") || !strings.Contains(text, path) ||
				!strings.Contains(text, "available") || strings.Contains(text, "listening") || time.Since(began) > within(5*time.Second) {
				t.Errorf("exit status %d after %v: %s", status, time.Since(began), text)
			}
		})
	}
}

func TestServeWhileLoading(t *testing.T) {
	shape, _ := synthetic.Find("bitnet-2b")
	path := sparse(t, shape, gguf.F16) // several gigabytes of zeros
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		t.Run("R112 "+name, func(t *testing.T) {
			r := &running{Cmd: exec.Command("wf", "serve", "--port", "0", "-m", path)}
			r.start(t)
			r.wait(t, "listening on ")
			began := time.Now()
			r.Process.Signal(signal)
			status, text := r.end()
			if took := time.Since(began); status != 128+int(signal) || took > within(time.Second) || strings.Contains(text, "ready") {
				t.Errorf("exit status %d after %v: %s", status, took, text)
			}
		})
	}
}

func TestServeOutlives(t *testing.T) {
	r := startServe(t)
	alive := func(t *testing.T) {
		t.Helper()
		resp, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(france))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), "Paris") {
			t.Errorf("%v %s", err, text)
		}
	}
	t.Run("R112 SIGHUP", func(t *testing.T) {
		r.Process.Signal(syscall.SIGHUP)
		alive(t)
	})
	t.Run("R112 a log that nobody reads", func(t *testing.T) {
		r.log.Close()
		alive(t)
		alive(t)
	})
	r.Process.Signal(syscall.SIGTERM)
	if err := r.Wait(); err != nil {
		t.Errorf("R112: %v", err)
	}
}

// TestSecondSignal: a drain waits for a request whose body does not come; a second signal does not.
func TestSecondSignal(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		t.Run("R111 second "+name, func(t *testing.T) {
			r := startServe(t)
			c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", c.RemoteAddr())
			if line, err := bufio.NewReader(c).ReadString('\n'); !strings.Contains(line, "100 Continue") { // the handler waits for the body
				t.Fatal(line, err)
			}
			r.Process.Signal(syscall.SIGTERM)
			r.wait(t, "draining")
			began := time.Now()
			r.Process.Signal(signal)
			if status, text := r.end(); status != 128+int(signal) || time.Since(began) > within(time.Second) {
				t.Errorf("exit status %d after %v: %s", status, time.Since(began), text)
			}
		})
	}
}

func TestServeAddresses(t *testing.T) {
	t.Run("R113 IPv6 only", func(t *testing.T) {
		if l, err := net.Listen("tcp", "[::1]:0"); err != nil { // this machine has no IPv6
			out, _ := exec.Command("wf", "serve", "--host", "::1", "--port", "0").CombinedOutput()
			if !strings.Contains(string(out), "[::1]:0") || !strings.Contains(string(out), "LISTEN_FAILED") {
				t.Errorf("%s", out)
			}
			return
		} else {
			l.Close()
		}
		r := startServe(t, "--host", "::1")
		resp, err := http.Get(r.url + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !strings.HasPrefix(r.url, "http://[::1]:") || resp.StatusCode != 200 {
			t.Errorf("%s: %s", r.url, resp.Status)
		}
	})
	t.Run("R113 privileged port", func(t *testing.T) {
		if first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil && strings.TrimSpace(string(first)) == "0" {
			t.Log("no port is privileged on this machine")
			return
		}
		cmd := exec.Command("wf", "serve", "--port", "81")
		if os.Geteuid() == 0 { // without the right to bind it
			cmd = exec.Command("setpriv", "--bounding-set", "-net_bind_service", "wf", "serve", "--port", "81")
		}
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != exitIO || !strings.Contains(string(out), "127.0.0.1:81") || !strings.Contains(string(out), "LISTEN_FAILED") {
			t.Errorf("exit status %d: %s", status, out)
		}
	})
}

// TestServeIdentical asks the same of servers that differ in what must not matter.
func TestServeIdentical(t *testing.T) {
	const body = `{"messages":[{"role":"user","content":"Tell me the opposite of left."}],"seed":7,"temperature":1,"max_tokens":24,"logprobs":true,"top_logprobs":3}`
	var first string
	for _, c := range []struct {
		name, debug string
		args        []string
	}{
		{"one thread", "", []string{"-t", "1"}}, {"after a restart", "", []string{"-t", "1"}}, {"three threads", "", []string{"-t", "3"}},
		{"no prefix cache", "", []string{"--prefix-cache=false"}}, {"no AVX-512", "cpu.avx512f=off,cpu.avx512vnni=off", nil},
		{"no AVX2", "cpu.avx2=off", nil}, {"nothing but the first x86-64", "cpu.all=off", nil},
	} {
		t.Run("R109 "+c.name, func(t *testing.T) {
			t.Setenv("GODEBUG", c.debug)
			r := startServe(t, c.args...)
			resp, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var reply struct {
				Fingerprint string `json:"system_fingerprint"`
				Choices     json.RawMessage
			}
			if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil || len(reply.Choices) < 100 {
				t.Fatalf("%v: %s", err, reply.Choices)
			}
			got := reply.Fingerprint + string(reply.Choices)
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("got %s, first %s", got, first)
			}
		})
	}
}
