package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Limits of a header. Those with a LIMIT code bound what reading may cost, far above what any model needs; the others are the format's.
const (
	maxEntries  = 65536     // GGUF_LIMIT_KV
	maxTensors  = 65536     // GGUF_LIMIT_TENSORS
	maxString   = 16 << 20  // GGUF_LIMIT_STRING
	maxMetadata = 128 << 20 // GGUF_LIMIT_METADATA, bytes of memory for all keys and values
	maxKey      = 65535
	maxName     = 63 // llama.cpp's buffer, GGML_MAX_NAME, with its final zero has 64
	maxDims     = 4

	minEntry = 14 // bytes in a file: length, key of one byte, type, value of one byte
	minInfo  = 25 // bytes in a file: length, name of one byte, dimension count, type, offset

	defaultAlignment = 32
	minAlignment     = 8 // so that every number in the data can be viewed in place
	maxAlignment     = 65536
)

// stringBytes and entryBytes are what a string in an array, and an entry, cost in memory besides text and numbers.
const (
	stringBytes = 16
	entryBytes  = 64
)

// bufferBytes is how much is read at a time, and how much text shares one allocation.
const bufferBytes = 64 << 10

// parser reads a header front to back. It allocates nothing by a number out of the file before that number has been held against the bytes
// that are left and against the budget.
type parser struct {
	r         *bufio.Reader
	pos, size uint64
	spent     uint64          // of maxMetadata
	text      strings.Builder // short strings share its memory: a vocabulary costs a few allocations, not one a token
}

func (p *parser) left() uint64 { return p.size - p.pos }

// take returns the next n bytes, which stay valid until the next call. The caller has bounded n.
func (p *parser) take(n uint64) (b []byte, err error) {
	if n > p.left() {
		return nil, fault.New("GGUF_TRUNCATED", "the file ends at byte %d, inside a field of %d bytes at byte %d: it was cut short, fetch it again",
			p.size, n, p.pos)
	}
	if n <= bufferBytes {
		b, err = p.r.Peek(int(n))
		p.r.Discard(len(b))
	} else {
		b = make([]byte, n)
		_, err = io.ReadFull(p.r, b)
	}
	if err != nil {
		return nil, readError(p.pos, err)
	}
	p.pos += n
	return b, nil
}

// readError explains an error of a reader: bytes that are missing make a file malformed, anything else is the machine's fault.
func readError(at uint64, err error) error {
	switch {
	case fault.Code(err) != "":
		return fmt.Errorf("reading at byte %d: %w", at, err)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New("GGUF_TRUNCATED", "reading at byte %d: the file ends before its size, it is being cut short", at)
	}
	return fault.New("IO_ERROR", "reading at byte %d: %w", at, err)
}

func (p *parser) uint32() (uint32, error) {
	b, err := p.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (p *parser) uint64() (uint64, error) {
	b, err := p.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// string returns the next n bytes as a string.
func (p *parser) string(n uint64) (string, error) {
	b, err := p.take(n)
	if err != nil || len(b) > bufferBytes/4 {
		return string(b), err
	}
	if p.text.Len()+len(b) > p.text.Cap() {
		p.text.Reset() // the strings cut from it keep its memory
		p.text.Grow(bufferBytes)
	}
	start := p.text.Len()
	p.text.Write(b)
	return p.text.String()[start:], nil
}

// spend takes n bytes from the budget for metadata.
func (p *parser) spend(n uint64) error {
	if n > maxMetadata-p.spent {
		return fault.New("GGUF_LIMIT_METADATA", "the metadata takes more than %d MiB of memory, at byte %d", maxMetadata>>20, p.pos)
	}
	p.spent += n
	return nil
}

// count reads how many of something follow. A number up to the limit is believed until the bytes run out, which tells a file that was cut
// short from one that lies; nothing is allocated by it.
func (p *parser) count(what string, minBytes, limit uint64, code string) (uint64, error) {
	at := p.pos
	n, err := p.uint64()
	switch {
	case err != nil:
		return 0, err
	case n <= limit:
		return n, nil
	case n > p.left()/minBytes:
		return 0, fault.New("GGUF_COUNT_EXCEEDS_FILE", "%d %s at byte %d cannot fit in the %d bytes that follow", n, what, at, p.left())
	}
	return 0, fault.New(code, "%d %s at byte %d; wf reads at most %d", n, what, at, limit)
}
