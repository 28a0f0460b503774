package gguf

import (
	"bytes"
	"encoding/binary"
)

// recognise says what a file that is not GGUF seems to be, for people who got something else than they asked for.
func recognise(head []byte) string {
	text := bytes.ToLower(bytes.TrimLeft(head, " \t\r\n\ufeff"))
	switch {
	case bytes.HasPrefix(text, []byte("version https://git-lfs")):
		return "; this is a Git LFS pointer, fetch the real file (git lfs pull)"
	case bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html")):
		return "; this is an HTML page, perhaps what the server said instead of sending the file"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "; this is a zip archive, perhaps a PyTorch checkpoint: wf convert reads those"
	case len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint64(head) < 1<<32:
		return "; this is a safetensors file: wf convert reads those"
	}
	return ""
}
