package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
	"golang.org/x/term"
)

// What ctrl-C does where a line is typed.
var (
	errInterrupt = errors.New("interrupted")         // at an empty prompt
	errCleared   = errors.New("the line is cleared") // where something had been typed
)

// lineSource is where a chat's lines come from: an editor on a terminal, or a pipe.
type lineSource interface {
	// readLine returns a line without its end; io.EOF, errInterrupt or errCleared.
	readLine(prompt string) (string, error)
	// release gives the terminal back while readLine has it; it may be called at any time.
	release()
}

// readLine waits for a line or the end of ctx. A read cannot be called off; at the end of ctx it is left behind.
func readLine(ctx context.Context, from lineSource, prompt string) (string, error) {
	type result struct {
		line  string
		err   error
		crash any
	}
	read := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			r.crash = recover()
			read <- r
		}()
		r.line, r.err = from.readLine(prompt)
	}()
	select {
	case <-ctx.Done():
		from.release()
		return "", ctx.Err()
	case r := <-read:
		if r.crash != nil {
			from.release()
			panic(r.crash)
		}
		return r.line, r.err
	}
}

// pipe reads lines that are not edited here.
type pipe struct {
	*bufio.Reader
	prompts io.Writer // nil: nobody types
}

func (p pipe) readLine(prompt string) (string, error) {
	if p.prompts != nil {
		io.WriteString(p.prompts, prompt)
	}
	var line strings.Builder
	for {
		part, err := p.ReadSlice('\n')
		if line.Write(part); line.Len() > maxPromptBytes {
			return "", fault.New("PROMPT_TOO_LONG", "standard input: a line of more than %d bytes", maxPromptBytes)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && line.Len() > 0:
		case err == io.EOF:
			return "", err
		case err != nil:
			return "", fault.New("IO_ERROR", "standard input: %w", err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(line.String(), "\n"), "\r"), nil
	}
}

func (pipe) release() {}

// maxEdited is how many characters a line can have in golang.org/x/term, which drops those beyond.
const maxEdited = 4096

// editor edits lines on a terminal, by golang.org/x/term: the Go project's own, in the module list already, with history, words and bracketed paste.
// The terminal is raw only while a line is typed, so that ctrl-C is a signal while an answer is made.
type editor struct {
	in, out *os.File
	history *history
	keys    *keys
	term    *term.Terminal

	mu     sync.Mutex  // for cooked
	cooked *term.State // what the terminal is to be again; nil: it is
}

func newEditor(in, out *os.File, h *history) *editor {
	e := &editor{in: in, out: out, history: h, keys: &keys{in: in}}
	e.reset()
	return e
}

// reset forgets a line that was interrupted.
func (e *editor) reset() {
	e.term = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{e.keys, e.out}, "")
	e.term.History = e.history
}

func (e *editor) readLine(prompt string) (string, error) {
	cooked, err := term.MakeRaw(int(e.in.Fd()))
	if err != nil {
		return "", fault.New("IO_ERROR", "terminal: %w", err)
	}
	e.mu.Lock()
	e.cooked = cooked
	e.mu.Unlock()
	defer e.release()
	changes, stop := resized()
	defer stop()
	done := make(chan struct{})
	defer close(done)
	t := e.term
	go func() {
		defer func() { _ = recover() }() // a line that stands askew is no reason to end a chat
		for {
			select {
			case <-changes:
				t.SetSize(screenSize(e.out))
			case <-done:
				return
			}
		}
	}()
	e.keys.typed, e.keys.interrupted = false, false
	t.SetPrompt(prompt)
	t.SetSize(screenSize(e.out))
	t.SetBracketedPasteMode(true)
	line, err := t.ReadLine()
	switch {
	case e.keys.interrupted && err == io.EOF:
		e.reset()
		fmt.Fprint(e.out, "^C\r\n")
		if e.keys.typed {
			return "", errCleared
		}
		return "", errInterrupt
	case err == io.EOF:
		fmt.Fprint(e.out, "\r\n")
		return "", err
	case err != nil && err != term.ErrPasteIndicator:
		return "", fault.New("IO_ERROR", "terminal: %w", err)
	case utf8.RuneCountInString(line) >= maxEdited:
		return "", fault.New("PROMPT_TOO_LONG", "a line of %d characters or more; give shorter ones, a backslash at the end of each, or wf generate -f FILE", maxEdited)
	}
	return unfold.Replace(line), nil
}

func (e *editor) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cooked != nil {
		e.term.SetBracketedPasteMode(false)
		_ = term.Restore(int(e.in.Fd()), e.cooked)
		e.cooked = nil
	}
}

// fold keeps what is pasted on one line, to be edited as one; unfold takes it apart again.
var (
	fold   = strings.NewReplacer("\r", "⏎", "\n", "⏎", "\t", "⇥")
	unfold = strings.NewReplacer("⏎", "\n", "⇥", "\t")
)

const (
	pasteBegins = "\x1b[200~"
	pasteEnds   = "\x1b[201~"
)

// keys is what is typed, on its way to the editor. It folds what is pasted, and notes ctrl-C, which x/term does not tell from ctrl-D.
type keys struct {
	in          io.Reader
	buffer      [256]byte
	ready       string
	tail        string // the last bytes, which may be the beginning of a mark
	pasting     bool
	typed       bool // something but ctrl-C
	interrupted bool
}

func (k *keys) Read(p []byte) (int, error) {
	if k.ready == "" {
		n, err := k.in.Read(k.buffer[:])
		if err != nil {
			return 0, err
		}
		for _, b := range k.buffer[:n] {
			k.key(b)
		}
	}
	n := copy(p, k.ready)
	k.ready = k.ready[n:]
	return n, nil
}

func (k *keys) key(b byte) {
	text := string([]byte{b})
	k.tail += text
	k.tail = k.tail[max(0, len(k.tail)-len(pasteBegins)):]
	switch {
	case k.tail == pasteBegins:
		k.pasting = true
	case k.tail == pasteEnds:
		k.pasting = false
	case k.pasting && b == '\n' && strings.HasSuffix(k.tail, "\r\n"):
		text = "" // the \r has been folded
	case k.pasting:
		text = fold.Replace(text)
	case b == 3:
		k.interrupted = true
	}
	k.typed = k.typed || b != 3
	k.ready += text
}
