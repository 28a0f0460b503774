package main

import (
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wrinklefree/wf/gguf"
)

// cmdDamage copies a GGUF file and changes one byte of it: damage IN OUT tensor NAME OFFSET XOR, where a negative OFFSET counts from the end of the
// tensor; damage IN OUT byte OFFSET XOR, of the file; or damage IN OUT padding, the last byte before the data.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: damage IN OUT tensor NAME OFFSET XOR | byte OFFSET XOR | padding")
	}
	in, out, what, rest := ts.MkAbs(args[0]), ts.MkAbs(args[1]), args[2], args[3:]
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 0, 64)
		ts.Check(err)
		return n
	}
	data, err := os.ReadFile(in)
	ts.Check(err)
	f, header, err := gguf.Salvage(in)
	ts.Check(err)
	defer f.Close()
	at, flip := int64(f.DataOffset)-1, int64(1)
	switch what {
	case "tensor":
		info, ok := f.Tensor(rest[0])
		if !ok {
			ts.Fatalf("%s has no tensor %s", in, rest[0])
		}
		at = int64(f.DataOffset+info.Offset) + number(rest[1])
		if number(rest[1]) < 0 {
			at += int64(info.Size)
		}
		flip = number(rest[2])
	case "byte":
		at, flip = number(rest[0]), number(rest[1])
	case "padding":
		if header == f.DataOffset {
			ts.Fatalf("the header of %s has no padding; make it with another --name", in)
		}
	default:
		ts.Fatalf("damage %s is unknown", what)
	}
	data[at] ^= byte(flip)
	ts.Check(os.WriteFile(out, data, 0o666))
}
