package pagetest

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// service is a running wf serve with the model that it carries.
type service struct {
	url string
	cmd *exec.Cmd
}

// serve starts wf serve, of the binary that WF_BINARY names, and waits until it is ready.
func serve(t *testing.T, args ...string) *service {
	t.Helper()
	cmd := exec.Command(os.Getenv("WF_BINARY"), append([]string{"serve", "--port", "0", "--threads", "2", "--allowed-host", "127.0.0.1"}, args...)...)
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &service{cmd: cmd}
	t.Cleanup(s.kill)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "listening on "); ok {
			s.url, _, _ = strings.Cut(rest, ";")
		}
		if strings.Contains(lines.Text(), "ready: ") {
			go io.Copy(io.Discard, output)
			return s
		}
	}
	t.Fatal("wf serve ended before it was ready")
	return nil
}

// kill ends the process at once, as a crash would.
func (s *service) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// proxy stands between the browser and a real wf serve, to be slow or to fail where the real one cannot be made to at the right moment.
type proxy struct {
	url   string
	front *httptest.Server
	delay atomic.Int64              // before each part of a reply, in nanoseconds
	edit  atomic.Pointer[[2]string] // text in replies to be replaced, and by what

	mu    sync.Mutex
	fails map[string]*refusal // by path
	asked []string            // bodies of chat completions
}

// refusal answers so many requests instead of the server.
type refusal struct {
	code  string
	times int
}

func inFrontOf(t *testing.T, s *service) *proxy {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{fails: map[string]*refusal{}}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			r.Body = &slowed{bufio.NewReader(r.Body), r.Body, p, nil}
			r.Header.Del("Content-Length")
			r.ContentLength = -1
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	p.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := p.refusal(r.URL.Path); code != "" {
			w.Header().Set("Retry-After", "2")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"error":{"message":"made up for a test","type":"server_error","param":null,"code":"`+code+`","request_id":"req_test"}}`)
			return
		}
		if r.URL.Path == "/v1/chat/completions" {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			p.mu.Lock()
			p.asked = append(p.asked, string(body))
			p.mu.Unlock()
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { p.cut(); p.front.Close() })
	p.url = p.front.URL
	return p
}

// lastAsked is the body of the last chat completion.
func (p *proxy) lastAsked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) == 0 {
		return ""
	}
	return p.asked[len(p.asked)-1]
}

// cut ends every connection.
func (p *proxy) cut() { p.front.CloseClientConnections() }

// fail refuses the next requests of a path with 503 and a code.
func (p *proxy) fail(path, code string, times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails[path] = &refusal{code, times}
}

func (p *proxy) refusal(path string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.fails[path]
	if r == nil || r.times == 0 {
		return ""
	}
	r.times--
	return r.code
}

// slowed reads a reply an event or a line at a time, each after the proxy's delay.
type slowed struct {
	lines *bufio.Reader
	io.Closer
	proxy *proxy
	rest  []byte
}

func (s *slowed) Read(to []byte) (int, error) {
	if len(s.rest) == 0 {
		line, err := s.lines.ReadBytes('\n')
		if len(line) == 0 {
			return 0, err
		}
		if bytes.HasPrefix(line, []byte("data: ")) {
			time.Sleep(time.Duration(s.proxy.delay.Load()))
		}
		if edit := s.proxy.edit.Load(); edit != nil {
			line = bytes.ReplaceAll(line, []byte(edit[0]), []byte(edit[1]))
		}
		s.rest = line
	}
	n := copy(to, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
