//go:build linux || darwin

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// onTerminal is wf on a terminal.
type onTerminal struct {
	*testing.T
	keyboard *os.File // the terminal's other side
	device   *os.File
	before   *term.State
	cmd      *exec.Cmd

	mu     sync.Mutex
	screen *emulator
	said   bytes.Buffer
	fresh  chan struct{} // something has been said
	ended  chan struct{} // all has been
}

// startTerminal runs wf with its streams on a terminal; adjust may put others in their place.
func startTerminal(t *testing.T, width, height int, adjust func(*exec.Cmd), args ...string) *onTerminal {
	t.Helper()
	keyboard, device, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	w := &onTerminal{T: t, keyboard: keyboard, device: device, screen: newEmulator(width, height), fresh: make(chan struct{}, 1), ended: make(chan struct{})}
	t.Cleanup(func() { keyboard.Close(); device.Close() })
	w.size(width, height)
	if w.before, err = term.GetState(int(device.Fd())); err != nil {
		t.Fatal(err)
	}
	w.cmd = exec.Command("wf", args...)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = device, device, device
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	w.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=", "XDG_STATE_HOME="+t.TempDir())
	w.cmd.Dir = t.TempDir()
	if adjust != nil {
		adjust(w.cmd)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.cmd.Process.Kill() })
	go func() {
		defer close(w.ended)
		buffer := make([]byte, 4096)
		for {
			n, err := keyboard.Read(buffer)
			w.mu.Lock()
			w.screen.Write(buffer[:n])
			w.said.Write(buffer[:n])
			w.mu.Unlock()
			select {
			case w.fresh <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return w
}

func (w *onTerminal) size(width, height int) {
	w.Helper()
	if err := pty.Setsize(w.keyboard, &pty.Winsize{Rows: uint16(height), Cols: uint16(width)}); err != nil {
		w.Fatal(err)
	}
}

// resize changes the window: first the terminal wraps its lines, then the program is told.
func (w *onTerminal) resize(width, height int) {
	w.Helper()
	w.mu.Lock()
	w.screen.resize(width, height)
	w.mu.Unlock()
	w.size(width, height)
}

func (w *onTerminal) send(text string) {
	w.Helper()
	if _, err := w.keyboard.WriteString(text); err != nil {
		w.Fatal(err)
	}
}

// wait waits until the screen is as wanted, and returns it.
func (w *onTerminal) wait(what string, wanted func(rows []string) bool) []string {
	w.Helper()
	deadline := time.After(within(30 * time.Second))
	for {
		w.mu.Lock()
		rows := w.screen.screen()
		w.mu.Unlock()
		if wanted(rows) {
			return rows
		}
		select {
		case <-w.fresh:
		case <-deadline:
			w.Fatalf("the screen never showed %s; it shows\n%s", what, strings.Join(rows, "\n"))
		}
	}
}

// waitFor waits for a row.
func (w *onTerminal) waitFor(row string) {
	w.Helper()
	w.wait(row, func(rows []string) bool { return slices.Contains(rows, row) })
}

// waitMatch waits for a row that matches.
func (w *onTerminal) waitMatch(pattern string) {
	w.Helper()
	re := regexp.MustCompile(pattern)
	w.wait(pattern, func(rows []string) bool { return slices.ContainsFunc(rows, re.MatchString) })
}

// waitPrompt waits until the last row asks for a line, and holds nothing else.
func (w *onTerminal) waitPrompt() {
	w.Helper()
	w.wait("a prompt", func(rows []string) bool { return lastRow(rows) == ">>>" })
}

func lastRow(rows []string) string {
	for _, row := range slices.Backward(rows) {
		if row != "" {
			return row
		}
	}
	return ""
}

// exit waits for the end and asks for its status, that the terminal is as it was, and that only known sequences were sent.
func (w *onTerminal) exit(status int) {
	w.Helper()
	done := make(chan error, 1)
	go func() { done <- w.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(within(30 * time.Second)):
		w.Fatalf("wf does not end; the screen shows\n%s", strings.Join(w.screen.screen(), "\n"))
	}
	if got := w.cmd.ProcessState.ExitCode(); got != status {
		w.Errorf("exit status %d, want %d", got, status)
	}
	if after, err := term.GetState(int(w.device.Fd())); err != nil || !reflect.DeepEqual(after, w.before) {
		w.Errorf("the terminal's modes changed: %v, were %v (%v)", after, w.before, err)
	}
	w.device.Close()
	<-w.ended
	if w.screen.unknown != nil {
		w.Errorf("unknown sequences %v", w.screen.unknown)
	}
	said := w.said.String()
	if at := strings.LastIndex(said, "\x1b[?2004h"); at > strings.LastIndex(said, "\x1b[?2004l") {
		w.Error("bracketed paste is left on")
	}
	attributes := regexp.MustCompile("\x1b\\[([0-9;]*)m").FindAllStringSubmatch(said, -1)
	if n := len(attributes); n > 0 && attributes[n-1][1] != "" {
		w.Errorf("attributes %q are left on", attributes[n-1][1])
	}
}

// endless are options by which the model that wf carries writes 1000 tokens in as many passes.
var endless = []string{"--temp", "2", "--seed", "1", "--threshold", "1"}

var widths = []int{80, 40}

func isStatus(row string) bool {
	return strings.HasPrefix(row, "step ") && strings.Contains(row, ", block ")
}

// TestStepsOnTerminal watches a block being unmasked, makes the window narrower and wider in the middle, and interrupts it.
func TestStepsOnTerminal(t *testing.T) {
	for _, width := range widths {
		t.Run(map[int]string{80: "80 columns", 40: "40 columns"}[width], func(t *testing.T) {
			w := startTerminal(t, width, 24, nil, append([]string{"generate", "--show-steps", "--raw", "Once"}, endless...)...)
			drawn := func(width int) func(rows []string) bool {
				return func(rows []string) bool {
					states := 0
					for _, row := range rows {
						if isStatus(row) {
							states++
						}
					}
					full := slices.ContainsFunc(rows, func(row string) bool { return len([]rune(row)) > width-8 && !isStatus(row) })
					return states == 1 && isStatus(lastRow(rows)) && full && strings.Contains(strings.Join(rows, ""), "·")
				}
			}
			w.wait("a block", drawn(width))
			other := 120 - width
			w.resize(other, 24)
			w.wait("the block in the other width", drawn(other))
			w.resize(width, 24)
			w.wait("the block in its first width", drawn(width))
			w.send("\x03")
			w.waitFor("wf: stopped by interrupt")
			w.exit(130)
			rows := w.screen.screen()
			if strings.Contains(strings.Join(rows, ""), "·") || slices.ContainsFunc(rows, isStatus) {
				t.Errorf("the picture is left:\n%s", strings.Join(rows, "\n"))
			}
			if !strings.Contains(w.said.String(), "\x1b[32") {
				t.Errorf("no colours in %.3000q", w.said.String())
			}
		})
	}
}

// TestStepsEnd: the answer stands on the screen once, the picture no more; without colour there is weight; a pipe gets text alone.
func TestStepsEnd(t *testing.T) {
	question := []string{"generate", "-q", "--show-steps", "What is the capital of France?"}
	t.Run("terminal", func(t *testing.T) {
		w := startTerminal(t, 80, 24, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "NO_COLOR=1") }, question...)
		w.exit(0)
		if got := strings.TrimSpace(strings.Join(w.screen.screen(), "\n")); got != "The capital of France is Paris." {
			t.Errorf("the screen shows %q", got)
		}
		if said := w.said.String(); !strings.Contains(said, "\x1b[1;4mThe") || regexp.MustCompile("\x1b\\[[0-9;]*3[0-9]").MatchString(said) {
			t.Errorf("want bold and no colour in %q", said)
		}
	})
	t.Run("standard output elsewhere", func(t *testing.T) {
		var out bytes.Buffer
		w := startTerminal(t, 80, 24, func(cmd *exec.Cmd) { cmd.Stdout = &out }, question...)
		w.exit(0)
		if !strings.Contains(w.said.String(), "step 1, block 0") {
			t.Errorf("no picture in %q", w.said.String())
		}
		if out.String() != "The capital of France is Paris.\n" {
			t.Errorf("standard output got %q", out.String())
		}
	})
	t.Run("dumb", func(t *testing.T) {
		w := startTerminal(t, 80, 24, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "TERM=dumb") }, question...)
		w.exit(0)
		if !slices.ContainsFunc(w.screen.screen(), func(row string) bool { return strings.HasPrefix(row, "step 2, block 0, sub-block 24: ") }) {
			t.Errorf("no line of the second step:\n%s", strings.Join(w.screen.screen(), "\n"))
		}
		if strings.Contains(w.said.String(), "\x1b") {
			t.Errorf("escape sequences for a dumb terminal: %q", w.said.String())
		}
	})
}

// TestChatOnTerminal types, edits, recalls, pastes, stops answers and leaves, at both widths.
func TestChatOnTerminal(t *testing.T) {
	for _, width := range widths {
		t.Run(map[int]string{80: "80 columns", 40: "40 columns"}[width], func(t *testing.T) {
			state := t.TempDir()
			start := func(args ...string) *onTerminal {
				return startTerminal(t, width, 24, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+state) }, append([]string{"chat"}, args...)...)
			}
			w := start("--show-steps")
			w.waitPrompt()
			w.send("What is the capital of Frnce?\x1b[D\x1b[D\x1b[D\x1b[D" + "a\r") // edited with the arrow keys
			w.waitFor("The capital of France is Paris.")
			w.waitPrompt()
			w.send("\x1b[200~/system\t\r\nof two\nlines\x1b[201~") // pasted as one line
			w.waitMatch("⏎of two⏎lines$")
			w.send("\x03") // takes the line away
			w.waitPrompt()
			w.send("\"\"\"What is\r")
			w.wait("...", func(rows []string) bool { return lastRow(rows) == "..." })
			w.send("the capital of France?\"\"\"\r")
			w.wait("a second answer", func(rows []string) bool {
				at := slices.Index(rows, "... the capital of France?\"\"\"")
				return at >= 0 && slices.Contains(rows[at:], "The capital of France is Paris.") && lastRow(rows) == ">>>"
			})
			w.send("/set threshold 0.5\r/set\r")
			w.waitMatch("^  threshold +0.5$")
			w.waitPrompt()
			w.resize(120-width, 24)
			w.send("/stat")
			w.waitFor(">>> /stat")
			w.send("\x03")
			w.waitPrompt()
			w.send("\x03")
			w.waitMatch("^wf: ctrl-C again")
			w.waitPrompt()
			w.send("\x03")
			w.exit(0)

			w = start()
			w.waitPrompt()
			w.send("\x1b[A\x1b[A") // what was typed in the chat before
			w.waitFor(">>> /set threshold 0.5")
			w.send("\x15\x04") // line away, end
			w.exit(0)
			info, err := os.Stat(filepath.Join(state, "wf", "history"))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("history: %v, %v", info, err)
			}

			w = start("--no-history")
			w.waitPrompt()
			w.send("\x1b[A/quit\r")
			w.exit(0)
		})
	}
}

// TestStopAnswer: ctrl-C stops an answer in the middle of a block, and the conversation goes on with what there is of it.
func TestStopAnswer(t *testing.T) {
	raw := "{% for m in messages %}{{ m.content }}{% endfor %}" // which the model does not know, so that it finds no end
	w := startTerminal(t, 80, 24, nil, append([]string{"chat", "--show-steps", "--chat-template", raw}, endless...)...)
	for _, message := range []string{"Once", "Twice"} {
		w.waitPrompt()
		w.send(message + "\r")
		w.wait("a block", func(rows []string) bool {
			return isStatus(lastRow(rows)) && strings.Contains(strings.Join(rows, ""), "·")
		})
		w.send("\x03")
		w.waitFor("wf: stopped")
	}
	w.waitPrompt()
	w.send("/stats\r")
	w.waitMatch("positions used$")
	w.waitPrompt()
	w.send("\x04")
	w.exit(0)
	if rows := w.screen.screen(); strings.Contains(strings.Join(rows, ""), "·") {
		t.Errorf("a picture is left:\n%s", strings.Join(rows, "\n"))
	}
}

// TestReplayOnTerminal plays a trace, and steps through it forward and back.
func TestReplayOnTerminal(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.jsonl")
	output(t, "generate", "-q", "--threshold", "1", "--trace", trace, "What is the capital of France?")
	for _, width := range widths {
		t.Run(map[int]string{80: "80 columns", 40: "40 columns"}[width], func(t *testing.T) {
			w := startTerminal(t, width, 24, nil, "replay", "-q", "--speed", "50", trace)
			w.exit(0)
			if rows := w.screen.screen(); rows[0] != "The capital of France is Paris.<|im_end"[:min(width-1, 39)] && rows[0] != "The capital of France is Paris.<|im_end|>" {
				t.Errorf("the answer does not stand:\n%s", strings.Join(rows, "\n"))
			}

			w = startTerminal(t, width, 24, nil, "replay", "-q", "--step", trace)
			step := func(n string) {
				t.Helper()
				w.wait(n, func(rows []string) bool { return strings.HasPrefix(lastRow(rows), n+", block 0: +1, ") })
			}
			step("step 1")
			w.send(" ")
			step("step 2")
			w.send("\x1b[C")
			step("step 3")
			w.send("b")
			step("step 2")
			w.resize(120-width, 24)
			w.send("\x1b[D")
			step("step 1")
			w.send("b") // there is none before the first
			w.send("\r")
			step("step 2")
			w.send("\x03")
			w.exit(0)
		})
	}
}

// TestSignalsWhileTyping: the terminal is raw then, and must not stay so.
func TestSignalsWhileTyping(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.jsonl")
	output(t, "generate", "-q", "--trace", trace, "What is the capital of France?")
	for signal, status := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		chat := startTerminal(t, 80, 24, nil, "chat")
		chat.waitPrompt()
		chat.send("half a li")
		chat.waitFor(">>> half a li")
		replay := startTerminal(t, 80, 24, nil, "replay", "--step", trace)
		replay.waitMatch("^step 1, ")
		for _, w := range []*onTerminal{chat, replay} {
			if err := w.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			w.exit(status)
		}
	}
}
