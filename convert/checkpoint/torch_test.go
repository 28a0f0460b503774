package checkpoint

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

// weight is the pickle of {"w": a tensor over storage 0, which has 6 float32}.
func weight(numel, offset int64, size, stride []int64) string {
	return proto + dictOf("w", float32s("0", numel, offset, size, stride)) + stop
}

func TestTensorGeometry(t *testing.T) {
	long := slices.Repeat([]int64{1}, maxDims+1)
	for _, test := range []struct {
		name         string
		numel        int64
		offset       int64
		size, stride []int64
	}{
		{"negative offset", 6, -1, []int64{2, 3}, []int64{3, 1}},
		{"negative size", 6, 0, []int64{-2, -3}, []int64{3, 1}},
		{"negative stride", 6, 5, []int64{6}, []int64{-1}},
		{"one past the storage", 6, 1, []int64{2, 3}, []int64{3, 1}},
		{"one past the storage, strided", 6, 0, []int64{3, 2}, []int64{1, 4}},
		{"expanded to 10^12 elements", 6, 0, []int64{1e6, 1e6}, []int64{0, 0}},
		{"expanded by one", 6, 0, []int64{7}, []int64{0}},
		{"product overflows", 6, 0, []int64{math.MaxInt64, 4}, []int64{0, 0}},
		{"product overflows and is empty", 6, 0, []int64{math.MaxInt64, 4, 0}, []int64{0, 0, 0}},
		{"extent overflows", 6, 0, []int64{2, 2}, []int64{math.MaxInt64, math.MaxInt64}},
		{"offset overflows", 6, math.MaxInt64, []int64{2}, []int64{math.MaxInt64}},
		{"more strides than sizes", 6, 0, []int64{2}, []int64{1, 1}},
		{"17 dimensions", 6, 0, long, long},
		{"numel below the entry", 5, 0, []int64{5}, []int64{1}},
		{"numel above the entry", 7, 0, []int64{6}, []int64{1}},
		{"numel negative", -6, 0, []int64{6}, []int64{1}},
		{"numel overflows", 1<<62 + 6, 0, []int64{6}, []int64{1}},
	} {
		t.Run("R73 "+test.name, func(t *testing.T) {
			refused(t, write(t, "x.pt", pt(weight(test.numel, test.offset, test.size, test.stride), counting(24))), "TENSOR_BAD_GEOMETRY")
		})
	}
	t.Run("R73 storage missing", func(t *testing.T) {
		refused(t, write(t, "x.pt", pt(weight(6, 0, []int64{6}, []int64{1}))), "TENSOR_BAD_GEOMETRY")
	})
	t.Run("R73 storage outside the folder", func(t *testing.T) {
		p := proto + dictOf("w", float32s("../data.pkl", 1, 0, []int64{1}, []int64{1})) + stop
		refused(t, write(t, "x.pt", pt(p)), "TENSOR_BAD_GEOMETRY")
	})
	t.Run("R73 shared storage is legal", func(t *testing.T) {
		p := proto + dictOf("a", float32s("0", 6, 0, []int64{2, 3}, []int64{3, 1}), "b", float32s("0", 6, 0, []int64{2, 3}, []int64{3, 1}),
			"c", float32s("0", 6, 0, []int64{3, 2}, []int64{2, 1}), "d", float32s("0", 6, 3, []int64{3}, []int64{1}), "e", float32s("1", 6, 0, []int64{2, 3}, []int64{3, 1})) + stop
		c, data := accepted(t, write(t, "x.pt", pt(p, counting(24), counting(24))))
		tensor := func(name string) *Tensor { x, _ := c.Tensor(name); return x }
		for name, want := range map[string]bool{"a": true, "b": true, "c": false, "d": false, "e": false} {
			if got := tensor("a").SharesStorage(tensor(name)); got != want {
				t.Errorf("a shares the bytes of %s: %v, wanted %v", name, got, want)
			}
		}
		if !bytes.Equal(data["a"], counting(24)) || !bytes.Equal(data["a"], data["b"]) || !bytes.Equal(data["d"], counting(24)[12:]) {
			t.Error(data)
		}
	})
	t.Run("scalar and empty", func(t *testing.T) {
		p := proto + dictOf("s", float32s("0", 6, 5, nil, nil), "e", float32s("0", 6, 0, []int64{0, 3}, []int64{3, 1})) + stop
		c, data := accepted(t, write(t, "x.pt", pt(p, counting(24))))
		if e, _ := c.Tensor("e"); !bytes.Equal(data["s"], counting(24)[20:]) || e.Elements() != 0 || len(e.Shape) != 2 {
			t.Error(data)
		}
	})
	t.Run("every way to make a tensor", func(t *testing.T) {
		v3 := func(storage, dtype string) string {
			return call(glob("torch._utils", "_rebuild_tensor_v3"), storage, num(0), nums(2), nums(1), "\x89", orderedDict, dtype)
		}
		plain := float32s("0", 6, 0, []int64{6}, []int64{1})
		p := proto + dictOf(
			"parameter", call(glob("torch._utils", "_rebuild_parameter"), plain, "\x88", orderedDict),
			"state", call(glob("torch._utils", "_rebuild_parameter_with_state"), plain, "\x88", orderedDict, dictOf("tag", none)),
			"type", call(glob("torch._tensor", "_rebuild_from_type_v2"), glob("torch._utils", "_rebuild_tensor_v2"), glob("torch", "Tensor"),
				tup(storageOf(glob("torch", "FloatStorage"), "0", 6), num(0), nums(6), nums(1), "\x89", orderedDict), dictOf("x", none)),
			"untyped", v3(storageOf(glob("torch.storage", "UntypedStorage"), "0", 24), glob("torch", "uint16")),
			"typed", v3(storageOf(glob("torch", "FloatStorage"), "0", 6), glob("torch", "float32")),
			"metadata", call(glob("torch._utils", "_rebuild_tensor_v2"), storageOf(glob("torch", "HalfStorage"), "0", 12), num(1), nums(2), nums(1), "\x89", orderedDict, none),
			"size", call(glob("torch", "Size"), nums(1)),
		) + stop
		c, data := accepted(t, write(t, "x.pt", pt(p, counting(24))))
		for name, want := range map[string][]byte{"parameter": counting(24), "state": counting(24), "type": counting(24), "untyped": counting(4), "typed": counting(8),
			"metadata": counting(6)[2:]} {
			if !bytes.Equal(data[name], want) {
				t.Errorf("%s: %v, wanted %v", name, data[name], want)
			}
		}
		if x, _ := c.Tensor("untyped"); x.DType != U16 || len(c.Tensors) != 6 {
			t.Errorf("%v, %d tensors", x.DType, len(c.Tensors))
		}
	})
}

func TestStateDict(t *testing.T) {
	w := float32s("0", 6, 0, []int64{6}, []int64{1})
	sd := func(names ...string) string {
		var items []string
		for _, name := range names {
			items = append(items, name, w)
		}
		return dictOf(items...)
	}
	optimizer := "}(" + num(0) + dictOf("exp_avg", w) + num(1) + sd("x") + "u"
	for _, test := range []struct {
		name, root, want string
		notices          int
	}{
		{"plain", sd("model.embed_tokens.weight", "model.layers.0.x"), "model.embed_tokens.weight model.layers.0.x", 0},
		{"model_state_dict", dictOf("step", num(3), "model_state_dict", sd("a"), "optimizer_state_dict", dictOf("state", optimizer), "config", dictOf("x", num(1))), "a", 0},
		{"state_dict", dictOf("state_dict", sd("a")), "a", 0},
		{"model", dictOf("model", sd("a"), "optimizer", dictOf("muon", sd("x"), "adam", sd("y"))), "a", 0},
		{"model in state_dict", dictOf("state_dict", dictOf("model", sd("a"))), "a", 0},
		{"model is a configuration", dictOf("model", dictOf("hidden_size", num(3)), "state_dict", sd("a")), "a", 0},
		{"a tensor of that name", dictOf("model", w, "b", w), "b model", 0},
		{"other weights beside it", dictOf("model", sd("a"), "ema", sd("b")), "a", 1},
		{"a map among the tensors", dictOf("a", w, "more", sd("b")), "a", 1},
		{"DDP", sd("module.model.layers.0.w", "module.lm_head.weight"), "lm_head.weight model.layers.0.w", 1},
		{"DDP and compile", sd("module._orig_mod.model.layers.0.w"), "model.layers.0.w", 1},
		{"not every name", sd("module.a", "b"), "b module.a", 0},
		{"Lightning", sd("model.model.layers.0.w", "model.lm_head.weight", "teacher_model.model.layers.0.w", "objective_manager.x"), "lm_head.weight model.layers.0.w", 2},
		{"Lightning and compile", sd("model._orig_mod.model.layers.0.w"), "model.layers.0.w", 1},
		{"only tied weights", sd("model.layers.0.w", "model.embed_tokens.weight"), "model.embed_tokens.weight model.layers.0.w", 0},
		{"nothing but the prefix", sd("module."), "module.", 0},
		{"buffers", sd("model.layers.0.self_attn.rotary_emb.inv_freq", "h.0.attention.bias", "h.0.attention.masked_bias", "a"), "a", 1},
		{"OrderedDict with metadata", orderedDict + "(" + str("a") + w + "u}(" + str("_metadata") + orderedDict + "ub", "a", 0},
		{"values that are no tensors", dictOf("a", w, "b", num(1), "c", none, "d", tup(w), "e", "]"+w+"a", "f", "G\x00\x00\x00\x00\x00\x00\x00\x00", "g", "\x88", "h", "K\x01", "i", "M\x01\x00",
			"j", "J\xff\xff\xff\xff", "k", "\x8a\x11"+strings.Repeat("\x01", 17), "l", "U\x02\xff\xfe", "m", str(strings.Repeat("x", maxText+1)), "n", "\x8a\x00"), "a", 0},
		{"random states", dictOf("rng_states", call(glob("numpy.core.multiarray", "_reconstruct"), glob("numpy", "ndarray"), tup(num(0)), call(glob("_codecs", "encode"), str("b"), str("latin1")))+
			tup(num(1))+"b", "state_dict", sd("a"), "d", glob("collections", "defaultdict")+")R", "set", call(glob("__builtin__", "set"), "]"), "c", glob("torch", "Size")+")\x81"), "a", 0},
		{"memo", dictOf("a", w+"q\x01", "b", "h\x01", "c", w+"r\x00\x01\x00\x00", "d", "j\x00\x01\x00\x00"), "a b c d", 0},
		{"short tuples", dictOf("x", num(1)+"\x85"+num(1)+num(2)+"\x86"+"\x86"+num(1)+num(2)+num(3)+"\x87"+"\x86", "a", w), "a", 0},
		{"SETITEM", "}" + str("a") + w + "s", "a", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := accepted(t, write(t, "x.pt", pt(proto+test.root+stop, counting(24))))
			var names []string
			for _, x := range c.Tensors {
				names = append(names, x.Name)
			}
			if got := strings.Join(names, " "); got != test.want || len(c.Notices) != test.notices {
				t.Errorf("%s, notices %q; wanted %s, %d notices", got, c.Notices, test.want, test.notices)
			}
		})
	}
	for name, root := range map[string]string{"no tensors": dictOf("a", num(1)), "a list": "]", "a tensor": w, "a number": num(1), "an opaque object": call(glob("torch", "Size"), nums(1))} {
		t.Run(name, func(t *testing.T) {
			refused(t, write(t, "x.pt", pt(proto+root+stop, counting(24))), "CKPT_NO_TENSORS")
		})
	}
	t.Run("the storages of the optimizer are not looked at", func(t *testing.T) {
		p := proto + dictOf("model", sd("a"), "optimizer", dictOf("m", float32s("99", 1e9, -5, []int64{-1}, nil))) + stop
		accepted(t, write(t, "x.pt", zipOf(item{name: "x/data.pkl", data: []byte(p)}, item{name: "x/data/0", data: counting(24)}, item{name: "x/data/1", data: counting(24), method: 8})))
	})
}

func TestZip(t *testing.T) {
	data := item{name: "a/data.pkl", data: []byte(weight(6, 0, []int64{6}, []int64{1}))}
	store := item{name: "a/data/0", data: counting(24)}
	with := func(base item, change func(e *item)) item {
		change(&base)
		return base
	}
	var deflated bytes.Buffer
	w, _ := flate.NewWriter(&deflated, 9)
	w.Write(make([]byte, 4<<20))
	w.Close()
	good := zipOf(data, store)
	patch := func(back int, p ...byte) []byte { // changes bytes that lie so far before the end
		file := bytes.Clone(good)
		copy(file[len(file)-back:], p)
		return file
	}
	for _, test := range []struct {
		name, code string
		file       []byte
	}{
		{"R74 bomb", "ZIP_COMPRESSED", zipOf(data, item{name: "a/data/0", data: deflated.Bytes(), method: 8, central: 4 << 20})},
		{"R74 compressed pickle", "ZIP_COMPRESSED", zipOf(with(data, func(e *item) { e.method = 8 }), store)},
		{"R74 compressed tensor data", "ZIP_COMPRESSED", zipOf(data, with(store, func(e *item) { e.method = 8 }))},
		{"R74 duplicate names", "ZIP_DUPLICATE", zipOf(data, store, store)},
		{"R74 ../x", "ZIP_BAD_NAME", zipOf(data, store, item{name: "../x"})},
		{"R74 a/../x", "ZIP_BAD_NAME", zipOf(data, store, item{name: "a/../x"})},
		{"R74 absolute", "ZIP_BAD_NAME", zipOf(data, store, item{name: "/etc/passwd"})},
		{"R74 backslash", "ZIP_BAD_NAME", zipOf(data, store, item{name: `a\..\x`})},
		{"R74 empty name", "ZIP_BAD_NAME", zipOf(data, store, item{name: "", localName: "x"})},
		{"R74 name with NUL", "ZIP_BAD_NAME", zipOf(data, store, item{name: "a/x\x00y"})},
		{"R74 name of 1025 bytes", "ZIP_BAD_NAME", zipOf(data, store, item{name: strings.Repeat("x", 1025)})},
		{"R74 name that is not UTF-8", "ZIP_BAD_NAME", zipOf(data, store, item{name: "a/\xff"})},
		{"R74 encrypted", "ZIP_ENCRYPTED", zipOf(data, with(store, func(e *item) { e.flags = flagEncrypt }))},
		{"R74 local name differs", "ZIP_CORRUPT", zipOf(data, with(store, func(e *item) { e.localName = "a/data/1" }))},
		{"R74 local size differs", "ZIP_CORRUPT", zipOf(data, with(store, func(e *item) { e.plain, e.more = true, 1 }))},
		{"R74 local size differs, deferred", "ZIP_CORRUPT", zipOf(data, with(store, func(e *item) { e.more = 1 }))},
		{"R74 local size of the pickle differs", "ZIP_CORRUPT", zipOf(with(data, func(e *item) { e.plain, e.more = true, 1 }), store)},
		{"R74 directory size too large", "ZIP_CORRUPT", zipOf(with(data, func(e *item) { e.central = 1 << 20 }), store)},
		{"R74 data run into the next entry", "ZIP_CORRUPT", zipOf(with(data, func(e *item) { e.central = 64 }), store)},
		{"R74 two data.pkl", "ZIP_NO_PICKLE", zipOf(data, store, item{name: "b/data.pkl", data: data.data})},
		{"R74 no data.pkl", "ZIP_NO_PICKLE", zipOf(store)},
		{"R74 data.pkl without a folder", "ZIP_NO_PICKLE", zipOf(item{name: "data.pkl", data: data.data}, store)},
		{"R74 no entries", "ZIP_NO_PICKLE", zipOf()},
		{"R74 bytes behind it", "ZIP_CORRUPT", append(bytes.Clone(good), 0)},
		{"R74 bytes before the directory", "ZIP_CORRUPT", append(bytes.Clone(good[:64]), good...)},
		{"R74 cut short", "ZIP_CORRUPT", good[:len(good)-1]},
		{"R74 cut in half", "ZIP_CORRUPT", good[:len(good)/2]},
		{"R74 several disks", "ZIP_CORRUPT", patch(endSize-4, 1)},
		{"R74 entry count too low", "ZIP_CORRUPT", endOf(bytes.Clone(good[:len(good)-98]), 0, 0, 1)},
		{"R74 zip64 disagrees", "ZIP_CORRUPT", patch(endSize-8, 3, 0, 3, 0)},
		{"R74 zip64 record beyond the file", "ZIP_CORRUPT", patch(endSize+12, 255, 255, 255, 255, 255, 255, 255, 255)},
		{"R74 directory with too few entries", "ZIP_CORRUPT", recount(good, 1, 0)},
		{"R74 directory with too many entries", "ZIP_CORRUPT", recount(good, 3, 0)},
		{"R74 directory ends inside an entry", "ZIP_CORRUPT", recount(zipOf(data, store, item{name: strings.Repeat("n", 200)}), 3, 100)},
		{"R74 directory ends inside the last name", "ZIP_CORRUPT", recount(good, 2, 1)},
		{"R74 stored size differs", "ZIP_CORRUPT", patch(len(good)-bytes.LastIndex(good, []byte("PK\x01\x02"))-20, 25)},
		{"R74 directory damaged", "ZIP_CORRUPT", bytes.Replace(good, []byte("PK\x01\x02"), []byte("PK\x01\x03"), 1)},
		{"R74 local header damaged", "ZIP_CORRUPT", append(bytes.Clone(good[:64]), bytes.Replace(good[64:], []byte("PK\x03\x04"), []byte("PK\x03\x05"), 1)...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "x.pt", test.file)
			refused(t, path, test.code)
			if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
				t.Errorf("something was extracted: %v", files)
			}
		})
	}
	t.Run("written by archive/zip", func(t *testing.T) {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for _, e := range []item{data, store} {
			f, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Store})
			if err == nil {
				_, err = f.Write(e.data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		c, all := accepted(t, write(t, "x.pt", out.Bytes()))
		if notices, err := c.Sources[0].Scan(io.Discard); err != nil || len(notices) > 0 || !bytes.Equal(all["w"], counting(24)) {
			t.Errorf("%q, %v, %v", notices, err, all)
		}
	})
	t.Run("R74 1 M entries", func(t *testing.T) {
		const count, size = 1_000_000, 50 << 20
		path := write(t, "x.pt", []byte("PK\x03\x04"))
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(endOf(nil, 4, size, count), 4+size)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		end := le.AppendUint64(nil, 4+size) // the locator
		f, _ = os.OpenFile(path, os.O_WRONLY, 0)
		_, err = f.WriteAt(end, 4+size+end64Size+8)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "ZIP_LIMIT")
	})
	t.Run("as many entries as are allowed", func(t *testing.T) {
		items := []item{data, store}
		for i := range maxEntries - 2 {
			items = append(items, item{name: fmt.Sprint("x/", i), plain: true})
		}
		c, _ := accepted(t, write(t, "x.pt", zipOf(items...)))
		if notices, err := c.Sources[0].Scan(io.Discard); err != nil || len(notices) > 0 {
			t.Errorf("%q, %v", notices, err)
		}
	})
	t.Run("a folder entry, sizes in front, a comment", func(t *testing.T) {
		file := zipOf(item{name: "a/", plain: true}, with(data, func(e *item) { e.plain = true }), with(store, func(e *item) { e.plain = true }))
		file[len(file)-2] = 5
		_, all := accepted(t, write(t, "x.pt", append(file, "hello"...)))
		if !bytes.Equal(all["w"], counting(24)) {
			t.Error(all)
		}
	})
	t.Run("R74 wrong CRC", func(t *testing.T) {
		for wrong, items := range map[int][]item{
			0: {data, store},
			1: {data, with(store, func(e *item) { e.sum = 1 })},
			2: {with(data, func(e *item) { e.sum = 1 }), with(store, func(e *item) { e.sum = 1 })},
		} {
			file := zipOf(items...)
			c, all := accepted(t, write(t, "x.pt", file))
			hash := sha256.New()
			notices, err := c.Sources[0].Scan(hash)
			if err != nil || [32]byte(hash.Sum(nil)) != sha256.Sum256(file) || !bytes.Equal(all["w"], counting(24)) {
				t.Errorf("%v, or the bytes were not those of the file", err)
			}
			if len(notices) != min(wrong, 1) || wrong > 0 && !strings.Contains(notices[0], fmt.Sprintf("%d of 2 zip entries", wrong)) {
				t.Errorf("%d wrong: %q", wrong, notices)
			}
		}
	})
	t.Run("a scan stops when the writer does, and when the file shrinks", func(t *testing.T) {
		path := write(t, "x.pt", zipOf(data, store))
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Sources[0].Scan(failing{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		for _, size := range []int64{500, 100, 10} {
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Sources[0].Scan(io.Discard); fault.Code(err) != "FILE_CHANGED" {
				t.Errorf("shrunk to %d bytes: %v", size, err)
			}
		}
	})
}

// recount replaces the end records by ones for another number of entries, with the directory cut by some bytes.
func recount(file []byte, count, cut int) []byte {
	const ends = end64Size + locatorSize + endSize
	dirAt := int(le.Uint32(file[len(file)-6:]))
	body := file[:len(file)-ends-cut]
	return endOf(bytes.Clone(body), dirAt, len(body)-dirAt, count)
}

// TestZip64 reads a storage of 5 GiB and a pickle behind it, in a file that is nearly all hole.
func TestZip64(t *testing.T) {
	const numel = 5 << 28 // float32
	pickle := []byte(proto + dictOf("w", float32s("0", numel, 0, []int64{numel / 8, 8}, []int64{8, 1}), "last", float32s("0", numel, numel-1, []int64{1}, []int64{1})) + stop)
	for name, broken := range map[string]struct {
		local uint64 // added to the size in the local extra field
		field int    // bytes of the extra field in the directory
		code  string
	}{"R147 5 GiB": {0, 24, ""}, "R74 zip64 size differs": {1, 24, "ZIP_CORRUPT"}, "R74 zip64 field too short": {0, 8, "ZIP_CORRUPT"}, "R74 no zip64 field": {0, 0, "ZIP_CORRUPT"}} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "x.pt", nil)
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			at, dir := int64(0), []byte(nil)
			put := func(p []byte) {
				if _, err := f.WriteAt(p, at); err != nil {
					t.Fatal(err)
				}
				at += int64(len(p))
			}
			for _, e := range []struct {
				name string
				size uint64
				data []byte
			}{{"a/data/0", 4 * numel, nil}, {"a/data.pkl", uint64(len(pickle)), pickle}} {
				extra := le.AppendUint64(le.AppendUint64([]byte{1, 0, 16, 0}, e.size+broken.local), e.size+broken.local)
				header := append([]byte("PK\x03\x04"), make([]byte, localSize-4)...)
				for i := 18; i < 26; i++ {
					header[i] = 255
				}
				le.PutUint16(header[26:], uint16(len(e.name)))
				le.PutUint16(header[28:], uint16(len(extra)))
				begin := uint64(at)
				put(append(append(header, e.name...), extra...))
				put(e.data)
				if e.data == nil {
					at += int64(e.size)
				}
				entry := append([]byte("PK\x01\x02"), make([]byte, entrySize-4)...)
				for _, i := range []int{20, 24, 42} {
					le.PutUint32(entry[i:], ones32)
				}
				extra = []byte{'F', 'B', 1, 0, 'Z'}
				if broken.field > 0 {
					extra = append(append(extra, 1, 0, byte(broken.field), 0), le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, e.size), e.size), begin)[:broken.field]...)
				}
				le.PutUint16(entry[28:], uint16(len(e.name)))
				le.PutUint16(entry[30:], uint16(len(extra)))
				dir = append(append(append(dir, entry...), e.name...), extra...)
			}
			ends := endOf(nil, int(at), len(dir), 2)
			le.PutUint64(ends[end64Size+8:], uint64(at)+uint64(len(dir)))
			le.PutUint32(ends[len(ends)-6:], ones32)
			last := at
			put(append(dir, ends...))
			at = localSize + int64(len("a/data/0")) + 20 + 4*numel - 4
			put([]byte{1, 2, 3, 4})
			if err := f.Close(); err != nil || at > last {
				t.Fatal(err)
			}
			if broken.code != "" {
				refused(t, path, broken.code)
				return
			}
			c, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, x := range c.Tensors {
				var p [4]byte
				if _, err := x.ReadAt(p[:], x.Size()-4); err != nil || p != [4]byte{1, 2, 3, 4} {
					t.Errorf("%s: %v, %v", x.Name, p, err)
				}
			}
			if w, _ := c.Tensor("w"); w.Size() != 4*numel || w.Elements() != numel {
				t.Errorf("%d elements in %d bytes", w.Elements(), w.Size())
			}
		})
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestFormats(t *testing.T) {
	good := weight(6, 0, []int64{6}, []int64{1})
	legacy := "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar\x0000")
	files := map[string]item{"a/data.pkl": {name: "a/data.pkl", data: []byte(good)}, "a/data/0": {name: "a/data/0", data: counting(24)}}
	for _, test := range []struct {
		name, file, code string
		data             []byte
	}{
		{"R75 legacy", "pytorch_model.bin", "CKPT_LEGACY", []byte(legacy)},
		{"R75 legacy renamed", "model.safetensors", "CKPT_LEGACY", []byte(legacy)},
		{"R75 tar", "x.pt", "CKPT_LEGACY", tar},
		{"R75 bare pickle renamed", "model.safetensors", "CKPT_LEGACY", []byte("\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}.")},
		{"R75 TorchScript", "x.pt", "CKPT_TORCHSCRIPT", zipOf(files["a/data.pkl"], files["a/data/0"], item{name: "a/constants.pkl"})},
		{"R75 TorchScript code", "x.pt", "CKPT_TORCHSCRIPT", zipOf(files["a/data.pkl"], item{name: "a/code/__torch__.py"})},
		{"R75 big-endian", "x.pt", "CKPT_BIG_ENDIAN", zipOf(files["a/data.pkl"], files["a/data/0"], item{name: "a/byteorder", data: []byte("big")})},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, write(t, test.file, test.data), test.code) })
	}
	t.Run("R75 a PyTorch file renamed .safetensors", func(t *testing.T) {
		if c, _ := accepted(t, write(t, "model.safetensors", pt(good, counting(24)))); c.Format != "pytorch" {
			t.Error(c.Format)
		}
	})
	t.Run("R75 a safetensors file renamed .bin", func(t *testing.T) {
		if c, _ := accepted(t, write(t, "pytorch_model.bin", st(one("w", "w"), 1, 2, 3, 4))); c.Format != "safetensors" {
			t.Error(c.Format)
		}
	})
	t.Run("R75 a safetensors file that begins like a pickle", func(t *testing.T) { // N = 640 is 80 02 00 00 ...
		header := one("w", "w")
		accepted(t, write(t, "x.bin", st(header+strings.Repeat(" ", 640-len(header)), 1, 2, 3, 4)))
	})
	t.Run("R75 a safetensors file that begins like a zip file", func(t *testing.T) { // N = 67,324,752 is PK\3\4
		if !looksLikeSafetensors("PK\x03\x04\x00\x00\x00\x00 {") || looksLikeSafetensors("PK\x03\x04\x00\x00\x00\x00\x00\x00") {
			t.Error("what follows the length decides")
		}
	})
}
