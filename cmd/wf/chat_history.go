package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
)

const (
	historyLines = 1000
	historyBytes = 1 << 20 // of the file; what is before them is forgotten
)

// history is what was typed in earlier chats and in this one: term.History.
type history struct {
	lines []string // the newest last
	file  *os.File // nil: this chat is not kept
}

// stateFile is where a program keeps what is neither setting nor cache (XDG base directories).
func stateFile(name string) (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "wf", name), nil
	}
	if runtime.GOOS == "windows" {
		dir, err := os.UserCacheDir() // %LocalAppData%
		return filepath.Join(dir, "wf", name), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "wf", name), err
}

// openHistory reads the history and keeps its file open to add to it.
func openHistory() (*history, error) {
	path, err := stateFile("history")
	if err != nil {
		return nil, fault.New("NOT_FOUND", "no folder for the history: %w", err)
	}
	h := &history{}
	old, err := disk.Open(path)
	switch {
	case err == nil:
		text, err := io.ReadAll(io.NewSectionReader(old, max(0, old.Size()-historyBytes), historyBytes))
		if err := errors.Join(err, old.Close()); err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			h.remember(strings.TrimSuffix(line, "\n"))
		}
		if old.Size() > historyBytes {
			if err := h.rewrite(path); err != nil {
				return nil, err
			}
		}
	case fault.Code(err) != "NOT_FOUND" && fault.Code(err) != "FILE_EMPTY":
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	h.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return h, err
}

// rewrite keeps of a file that has grown long what is remembered.
func (h *history) rewrite(path string) error {
	return os.WriteFile(path, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
}

// remember adds a line of printable text.
func (h *history) remember(line string) bool {
	line = oneLine(strings.ToValidUTF8(line, ""))
	if strings.TrimSpace(line) == "" || h.Len() > 0 && h.At(0) == line {
		return false
	}
	h.lines = append(h.lines, line)
	h.lines = h.lines[max(0, len(h.lines)-historyLines):]
	return true
}

// Add keeps a line that was typed. A history that cannot be written to goes on in memory.
func (h *history) Add(line string) {
	if h.remember(line) && h.file != nil {
		if _, err := io.WriteString(h.file, h.At(0)+"\n"); err != nil {
			h.close()
		}
	}
}

func (h *history) Len() int { return len(h.lines) }

// At counts from the newest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

func (h *history) close() {
	if h.file != nil {
		_ = h.file.Close()
		h.file = nil
	}
}
