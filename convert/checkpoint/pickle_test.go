package checkpoint

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

func TestPickleGlobals(t *testing.T) {
	for _, name := range []string{"os system", "posix system", "nt system", "subprocess Popen", "builtins eval", "__builtin__ eval", "builtins getattr", "torch.hub load", "torch load", "functools partial",
		"pkgutil resolve_name", "operator attrgetter", "torch._utils _rebuild_sparse_tensor", "torch.serialization load", "torch FloatStorage.__init__", "collections OrderedDict.fromkeys",
		"torch.storage TypedStorage", "numpy.core.multiarray frombuffer", "\x1b[31m x", strings.Repeat("m", 200) + " x", " ", "torch FloatStorage x"} {
		module, attribute, _ := strings.Cut(name, " ")
		t.Run("R69 "+name, func(t *testing.T) {
			refused(t, write(t, "x.pt", pt(proto+dictOf("w", call(glob(module, attribute), str("touch x")))+stop)), "PICKLE_FORBIDDEN_GLOBAL")
			err := refused(t, write(t, "x.pt", pt(proto+glob(module, attribute)+stop)), "PICKLE_FORBIDDEN_GLOBAL")
			if want := strings.Trim(fault.Quote(module+"."+attribute), `".`); !strings.Contains(err.Error(), want[:min(len(want), 60)]) {
				t.Errorf("%v does not name %s", err, want)
			}
		})
	}
	t.Run("R69 nothing here can run anything", func(t *testing.T) {
		files, err := os.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			read++
			for _, i := range parsed.Imports {
				switch path := strings.Trim(i.Path.Value, `"`); path {
				case "os/exec", "plugin", "reflect", "syscall", "unsafe", "net", "net/http", "text/template":
					t.Errorf("%s imports %s", f.Name(), path)
				}
			}
		}
		if read < 8 {
			t.Errorf("only %d files were looked at", read)
		}
	})
	for _, name := range []string{"argparse Namespace", "pathlib PosixPath", "torch.optim.adamw AdamW", "omegaconf.dictconfig DictConfig", "torch.distributed.tensor DTensor"} {
		module, attribute, _ := strings.Cut(name, " ")
		t.Run("R76 "+name, func(t *testing.T) {
			object := glob(module, attribute) + ")\x81" + dictOf("lr", num(1)) + "b"
			p := dictOf("model", dictOf("w", float32s("0", 6, 0, []int64{6}, []int64{1})), "args", object)
			err := refused(t, write(t, "x.pt", pt(proto+p+stop, counting(24))), "PICKLE_FORBIDDEN_GLOBAL")
			if !strings.Contains(err.Error(), module+"."+attribute) || !strings.Contains(err.Error(), "export the weights only: torch.save(model.state_dict(), ") {
				t.Error(err)
			}
		})
	}
}

func TestPickleOpcodes(t *testing.T) {
	allowed := ".(})]t\x85\x86\x87aesuqrhjN\x88\x89JKM\x8aGXUcR\x81bQ\x80"
	for op := range 256 {
		if strings.IndexByte(allowed, byte(op)) >= 0 {
			continue
		}
		name := opcodes[op].name
		t.Run(fmt.Sprintf("R70 %#02x %s", op, name), func(t *testing.T) {
			err := refused(t, write(t, "x.pt", pt(proto+"}"+string([]byte{byte(op)})+"\x01\x00\x00\x00\x00\x00\x00\x00a\nb\n.")), "PICKLE_FORBIDDEN_OPCODE")
			if !strings.Contains(err.Error(), "offset 3:") || !strings.Contains(err.Error(), fmt.Sprintf("%#02x %s", op, name)) {
				t.Error(err)
			}
		})
	}
	for _, name := range []string{"INST", "OBJ", "EXT1", "NEWOBJ_EX", "STACK_GLOBAL", "BINBYTES8", "FRAME", "MEMOIZE", "SHORT_BINUNICODE", "DUP", "POP", "PERSID", "STRING", "NEXT_BUFFER"} {
		found := 0
		for _, op := range opcodes {
			if op.name == name && op.run == nil {
				found++
			}
		}
		if found != 1 {
			t.Errorf("R70 %s is known %d times as forbidden", name, found)
		}
	}
}

func TestPickleLimits(t *testing.T) {
	laughs := func(first, again string) string {
		p := first + "q\x00"
		for range 40 {
			p += again
		}
		return p
	}
	const million = 1_000_000
	for _, test := range []struct{ name, pickle, codes string }{
		{"billion laughs of tuples", laughs(")", "("+strings.Repeat("h\x00", 10)+"tq\x00"), "PICKLE_LIMIT"},
		{"billion laughs of lists", laughs("]", "]("+strings.Repeat("h\x00", 10)+"eq\x00"), "PICKLE_LIMIT"},
		{"billion laughs of dicts", laughs("}", "}("+strings.Repeat(str("x")+"h\x00", 10)+"uq\x00"), "PICKLE_LIMIT"},
		{"a dict in itself", "}q\x00" + strings.Repeat(str("x")+"h\x00s", 100), "PICKLE_LIMIT"},
		{"10 M nested tuples", ")" + strings.Repeat("\x85", 10*million), "PICKLE_LIMIT"},
		{"10 M nested lists", strings.Repeat("]", 10*million), "PICKLE_LIMIT"},
		{"10 M MARKs", strings.Repeat("(", 10*million), "PICKLE_LIMIT"},
		{"10 M None", strings.Repeat("N", 10*million), "PICKLE_LIMIT"},
		{"10 M empty dicts in a list", "](" + strings.Repeat("}", 1000) + strings.Repeat("e("+strings.Repeat("}", 1000), 10_000), "PICKLE_LIMIT"},
		{"1 M strings in a dict", "}(" + distinct(million), "PICKLE_LIMIT"},
		{"1 M memo slots", "N" + slots(million), "PICKLE_LIMIT"},
		{"LONG1 of 255 bytes", "\x8a\xff" + strings.Repeat("\x01", 255), "PICKLE_LIMIT"},
		{"BINUNICODE of 2^32-1 bytes", "X\xff\xff\xff\xffabc", "PICKLE_CORRUPT"},
		{"a name of 1 MiB", "c" + strings.Repeat("m", 1<<20), "PICKLE_LIMIT"},
		{"a pickle of 64 MiB and more", strings.Repeat("N", maxPickle), "PICKLE_LIMIT"},
		{"BINGET of an unset slot", "h\x00", "PICKLE_CORRUPT"},
		{"LONG_BINGET of an unset slot", "j\xff\xff\xff\xff", "PICKLE_CORRUPT"},
		{"stack underflow", "\x85", "PICKLE_CORRUPT"},
		{"underflow below a mark", "N(\x85", "PICKLE_CORRUPT"},
		{"TUPLE2 of one", "N\x86", "PICKLE_CORRUPT"},
		{"TUPLE3 of two", "NN\x87", "PICKLE_CORRUPT"},
		{"no mark", "t", "PICKLE_CORRUPT"},
		{"APPENDS without a list", "(e", "PICKLE_CORRUPT"},
		{"SETITEMS without a dict", "(u", "PICKLE_CORRUPT"},
		{"SETITEM of one", "}Ns", "PICKLE_CORRUPT"},
		{"SETITEMS of three", "}(" + str("a") + none + str("b") + "u", "PICKLE_CORRUPT"},
		{"REDUCE of one", ")R", "PICKLE_CORRUPT"},
		{"BUILD of nothing", "Nb", "PICKLE_CORRUPT"},
		{"BINPUT of nothing", "q\x00", "PICKLE_CORRUPT"},
		{"BINPERSID of nothing", "Q", "PICKLE_CORRUPT"},
		{"no STOP", "}", "PICKLE_CORRUPT"},
		{"cut in a number", "J\x01", "PICKLE_CORRUPT"},
		{"cut in a float", "G\x01", "PICKLE_CORRUPT"},
		{"cut in LONG1", "\x8a\x08", "PICKLE_CORRUPT"},
		{"cut in a name", "ctorch", "PICKLE_CORRUPT"},
		{"cut before the second name", "ctorch\n", "PICKLE_CORRUPT"},
		{"STOP on an empty stack", stop, "PICKLE_CORRUPT"},
		{"STOP below a mark", "}(.", "PICKLE_CORRUPT"},
		{"STOP with two values", "}}.", "PICKLE_CORRUPT"},
		{"bytes behind STOP", "}.}", "PICKLE_CORRUPT"},
		{"a text that is not UTF-8", "X\x01\x00\x00\x00\xff", "PICKLE_CORRUPT"},
		{"PROTO twice", proto, "PICKLE_CORRUPT"},
	} {
		t.Run("R71 "+test.name, func(t *testing.T) {
			refused(t, write(t, "x.pt", pt(proto+test.pickle)), test.codes)
		})
	}
	t.Run("PROTO 6", func(t *testing.T) { refused(t, write(t, "x.pt", pt("\x80\x06}.")), "PICKLE_CORRUPT") })
	t.Run("an empty pickle", func(t *testing.T) { refused(t, write(t, "x.pt", pt("")), "PICKLE_CORRUPT") })
}

// distinct is n pairs of different texts and None, set a thousand at a time.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(str(fmt.Sprint(i)))
		b.WriteString(none)
		if i%1000 == 999 {
			b.WriteString("u(")
		}
	}
	return b.String()
}

func slots(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("r" + string(le.AppendUint32(nil, uint32(i))))
	}
	return b.String()
}

func TestPickleTargets(t *testing.T) {
	float := storageOf(glob("torch", "FloatStorage"), "0", 6)
	v2, v3 := glob("torch._utils", "_rebuild_tensor_v2"), glob("torch._utils", "_rebuild_tensor_v3")
	w := float32s("0", 6, 0, []int64{6}, []int64{1})
	for _, test := range []struct{ name, pickle string }{
		{"SETITEM on a list", "]" + str("a") + none + "s"},
		{"SETITEM on a tuple", ")" + str("a") + none + "s"},
		{"SETITEMS on an opaque object", call(glob("torch", "Size")) + "(" + str("a") + none + "u"},
		{"APPEND on a dict", "}Na"},
		{"APPENDS on a tensor", w + "(Ne"},
		{"BUILD on a string", str("a") + "}b"},
		{"BUILD on a number", "K\x01}b"},
		{"BUILD on a global", glob("torch", "Size") + "}b"},
		{"REDUCE on a number", "K\x01)R"},
		{"REDUCE on None", "N)R"},
		{"REDUCE on a dict", "})R"},
		{"REDUCE on a storage class", glob("torch", "FloatStorage") + ")R"},
		{"REDUCE on a type", glob("torch", "float32") + ")R"},
		{"REDUCE with a list", glob("torch", "Size") + "]R"},
		{"NEWOBJ on a string", str("os.system") + ")\x81"},
		{"a list as a key", "}]Ns"},
		{"a dict as a key", "}}Ns"},
		{"a tensor as a key", "}" + w + "Ns"},
		{"number as the name of a tensor", "}K\x01" + w + "s"},
		{"number among the names", "}(" + str("a") + w + "K\x01" + w + "u"},
		{"None among the names", dictOf("model", "}("+str("a")+w+none+w+"u")},
		{"a map made of items", glob("collections", "OrderedDict") + tup("]("+tup(str("a"), w)+"e") + "R"},
		{"a persistent id that is a string", str("0") + "Q"},
		{"a persistent id of four", tup(str("storage"), glob("torch", "FloatStorage"), str("0"), str("cpu")) + "Q"},
		{"a persistent id of a module", tup(str("module"), glob("torch", "FloatStorage"), str("0"), str("cpu"), num(6)) + "Q"},
		{"a storage without a class", tup(str("storage"), none, str("0"), str("cpu"), num(6)) + "Q"},
		{"a storage of another class", storageOf(glob("torch", "Size"), "0", 6)},
		{"a storage key that is a number", tup(str("storage"), glob("torch", "FloatStorage"), num(0), str("cpu"), num(6)) + "Q"},
		{"a storage size that is a string", tup(str("storage"), glob("torch", "FloatStorage"), str("0"), str("cpu"), str("6")) + "Q"},
		{"a tensor of nothing", call(v2)},
		{"a tensor of five", call(v2, float, num(0), nums(6), nums(1), "\x89")},
		{"a tensor of eight", call(v2, float, num(0), nums(6), nums(1), "\x89", none, none, none)},
		{"a tensor of no storage", call(v2, none, num(0), nums(6), nums(1), "\x89", none)},
		{"a tensor with an offset of 9 bytes", call(v2, float, "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01", nums(6), nums(1), "\x89", none)},
		{"a tensor with a size that is a list", call(v2, float, num(0), "]", nums(1), "\x89", none)},
		{"a tensor with a size of strings", call(v2, float, num(0), tup(str("6")), nums(1), "\x89", none)},
		{"a tensor that is a negative view", call(v2, float, num(0), nums(6), nums(1), "\x89", none, dictOf("neg", "\x88"))},
		{"a v2 tensor on raw bytes", call(v2, storageOf(glob("torch.storage", "UntypedStorage"), "0", 24), num(0), nums(6), nums(1), "\x89", none)},
		{"a v3 tensor without a type", call(v3, float, num(0), nums(6), nums(1), "\x89", none, glob("torch", "Size"))},
		{"a v3 tensor with a string as its type", call(v3, float, num(0), nums(6), nums(1), "\x89", none, str("float32"))},
		{"a parameter of nothing", call(glob("torch._utils", "_rebuild_parameter"))},
		{"a parameter of a string", call(glob("torch._utils", "_rebuild_parameter"), str("a"), "\x89", none)},
		{"a type made of three", call(glob("torch._tensor", "_rebuild_from_type_v2"), v2, none, none)},
		{"a type of a type", call(glob("torch._tensor", "_rebuild_from_type_v2"), glob("torch._tensor", "_rebuild_from_type_v2"), none, tup(none, none, none, none), none)},
		{"a type of a string", call(glob("torch._tensor", "_rebuild_from_type_v2"), str("eval"), none, ")", none)},
	} {
		t.Run("R72 "+test.name, func(t *testing.T) {
			refused(t, write(t, "x.pt", pt(proto+test.pickle+stop, counting(24))), "PICKLE_BAD_TARGET")
		})
	}
}
