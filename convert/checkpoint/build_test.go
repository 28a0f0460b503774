package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
)

var le = binary.LittleEndian

// write puts data into a new folder and returns the path.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// bound scales a time limit by WF_TEST_SLOWNESS.
func bound(limit time.Duration) time.Duration {
	slowness, err := strconv.ParseFloat(os.Getenv("WF_TEST_SLOWNESS"), 64)
	if err != nil {
		slowness = 1
	}
	return time.Duration(float64(limit) * slowness)
}

// refused opens a file that must be refused, with one of the codes, in time, with an error fit for a terminal and within the memory that
// ACCEPTANCE.md allows (P).
func refused(t *testing.T, path string, codes ...string) error {
	t.Helper()
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak, stop := before.HeapAlloc, make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	start := time.Now()
	c, err := Open(path)
	took := time.Since(start)
	close(stop)
	sampler.Wait()
	if err == nil {
		c.Close()
		t.Fatalf("%s was accepted with %d tensors, wanted %v", filepath.Base(path), len(c.Tensors), codes)
	}
	if took > bound(2*time.Second) {
		t.Errorf("took %v", took)
	}
	var size uint64
	if info, err := os.Stat(path); err == nil {
		size = uint64(info.Size())
	}
	allowed := uint64(64 << 20)
	if size >= 16<<20 {
		allowed = min(4*size, 400<<20)
	}
	if used := peak - before.HeapAlloc; used > allowed {
		t.Errorf("%d MiB of memory for a file of %d bytes, wanted at most %d MiB", used>>20, size, allowed>>20)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if len(line) > 300 {
			t.Errorf("an error of %d bytes: %s", len(line), line)
		}
		if !fault.Printable(line) {
			t.Errorf("unprintable: %q", line)
		}
	}
	for _, code := range codes {
		if fault.Code(err) == code {
			return err
		}
	}
	t.Fatalf("code %s (%v), wanted %v", fault.Code(err), err, codes)
	return nil
}

// accepted opens a file that must be read to the end, and returns each tensor's bytes.
func accepted(t *testing.T, path string) (*Checkpoint, map[string][]byte) {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Changed(), c.Close()); err != nil {
			t.Error(err)
		}
	})
	return c, contents(t, c)
}

func contents(t *testing.T, c *Checkpoint) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, x := range c.Tensors {
		data, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
		if err != nil || int64(len(data)) != x.Size() || uint64(x.Size()) != x.Elements()*uint64(x.DType.Size()) {
			t.Fatalf("%s: %d of %d bytes, %d elements: %v", x.Name, len(data), x.Size(), x.Elements(), err)
		}
		if found, ok := c.Tensor(x.Name); !ok || found != x {
			t.Fatalf("%s is not found by its name", x.Name)
		}
		all[x.Name] = data
	}
	return all
}

// st is a safetensors file.
func st(header string, data ...byte) []byte {
	return append(append(le.AppendUint64(nil, uint64(len(header))), header...), data...)
}

// A pickle is put together from strings, one per value.
const (
	proto = "\x80\x02"
	none  = "N"
	stop  = "."
)

func str(s string) string          { return "X" + string(le.AppendUint32(nil, uint32(len(s)))) + s }
func num(n int64) string           { return "\x8a\x08" + string(le.AppendUint64(nil, uint64(n))) }
func glob(module, n string) string { return "c" + module + "\n" + n + "\n" }
func tup(values ...string) string  { return "(" + strings.Join(values, "") + "t" }
func call(f string, args ...string) string {
	return f + tup(args...) + "R"
}

// dictOf takes names and values in turn.
func dictOf(items ...string) string {
	text := "}("
	for i := 0; i < len(items); i += 2 {
		text += str(items[i]) + items[i+1]
	}
	return text + "u"
}

func nums(list ...int64) string {
	var text []string
	for _, n := range list {
		text = append(text, num(n))
	}
	return tup(text...)
}

var orderedDict = call(glob("collections", "OrderedDict"))

func storageOf(class, key string, numel int64) string {
	return tup(str("storage"), class, str(key), str("cpu"), num(numel)) + "Q"
}

// float32s is a tensor over a FloatStorage.
func float32s(key string, numel, offset int64, size, stride []int64) string {
	return call(glob("torch._utils", "_rebuild_tensor_v2"), storageOf(glob("torch", "FloatStorage"), key, numel), num(offset), nums(size...), nums(stride...),
		"\x89", orderedDict)
}

// item is an entry of a zip file to be built, with what may be wrong about it.
type item struct {
	name, localName string // localName "": the same
	data            []byte
	method, flags   uint16
	sum             uint32 // added to the CRC
	more            uint32 // added to the size in the local header
	central         uint32 // added to both sizes in the directory
	plain           bool   // sizes in the local header instead of behind the data
}

// zipOf builds a zip file as PyTorch does: stored, data at multiples of 64 through a padding that only the local header has, sizes behind
// the data.
func zipOf(items ...item) []byte {
	var out, dir []byte
	for _, e := range items {
		if e.localName == "" {
			e.localName = e.name
		}
		if !e.plain {
			e.flags |= flagDeferred
		}
		header, size, sum := len(out), uint32(len(e.data)), crc32.ChecksumIEEE(e.data)+e.sum
		padding := 64 - (header+localSize+len(e.localName)+4)%64
		local, localSum := size+e.more, sum
		if !e.plain && e.more == 0 {
			local, localSum = 0, 0
		}
		fields := func(p []byte, sum, size uint32, name string, extra int) []byte {
			p = le.AppendUint16(p, 20)
			p = le.AppendUint16(p, e.flags)
			p = le.AppendUint16(p, e.method)
			p = le.AppendUint32(p, 0)
			for _, v := range []uint32{sum, size, size} {
				p = le.AppendUint32(p, v)
			}
			p = le.AppendUint16(p, uint16(len(name)))
			return le.AppendUint16(p, uint16(extra))
		}
		out = fields(append(out, "PK\x03\x04"...), localSum, local, e.localName, 4+padding)
		out = append(append(out, e.localName...), 'F', 'B', byte(padding), 0)
		out = append(append(out, bytes.Repeat([]byte("Z"), padding)...), e.data...)
		if !e.plain {
			out = append(out, "PK\x07\x08"...)
			for _, v := range []uint32{sum, size, size} {
				out = le.AppendUint32(out, v)
			}
		}
		dir = fields(append(dir, "PK\x01\x02\x00\x00"...), sum, size+e.central, e.name, 0)
		dir = append(dir, make([]byte, 10)...)
		dir = append(le.AppendUint32(dir, uint32(header)), e.name...)
	}
	return endOf(append(out, dir...), len(out), len(dir), len(items))
}

// endOf appends the end records of a zip file, with zip64 as PyTorch always does.
func endOf(out []byte, dirAt, dirSize, count int) []byte {
	at := len(out)
	out = append(out, "PK\x06\x06"...)
	out = le.AppendUint64(out, 44)
	out = append(out, make([]byte, 12)...)
	for _, v := range []int{count, count, dirSize, dirAt} {
		out = le.AppendUint64(out, uint64(v))
	}
	out = append(out, "PK\x06\x07\x00\x00\x00\x00"...)
	out = le.AppendUint64(out, uint64(at))
	out = append(out, "\x01\x00\x00\x00PK\x05\x06\x00\x00\x00\x00"...)
	for range 2 {
		out = le.AppendUint16(out, uint16(min(count, ones16)))
	}
	out = le.AppendUint32(out, uint32(dirSize))
	out = le.AppendUint32(out, uint32(dirAt))
	return append(out, 0, 0)
}

// pt is a PyTorch file: a pickle and storages "0", "1", ...
func pt(pickle string, storages ...[]byte) []byte {
	items := []item{{name: "archive/data.pkl", data: []byte(pickle)}, {name: "archive/byteorder", data: []byte("little")}}
	for i, data := range storages {
		items = append(items, item{name: "archive/data/" + strconv.Itoa(i), data: data})
	}
	return zipOf(append(items, item{name: "archive/version", data: []byte("3\n")})...)
}

// counting returns n bytes 0, 1, 2, ...
func counting(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}
