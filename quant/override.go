package quant

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// Override is a metadata entry that a person sets: KEY=TYPE:VALUE, in llama.cpp's syntax. Its types int, float, bool and str take the width
// that the file has, else uint32 (or the least wider type that holds the number) and float32; u8, i8, u16, i16, u32, i32, u64, i64, f32 and f64
// say the width.
type Override struct {
	Key   string
	Value any  // of a type that gguf.TypeOf knows
	loose bool // an int or a float: any width serves
}

// computed are the keys that wf computes from what it writes.
var computed = []string{
	names.FileType, names.QuantizationVersion, names.I2SLayout, names.Version, names.Options, names.SourceFiles, names.TensorHashes,
	names.SplitNumber, names.SplitCount, names.SplitTensors,
}

// parsers read the types of an override. Numbers are parsed as 64 bits wide and must fit.
var parsers = map[string]func(string) (any, bool){
	"bool": func(s string) (any, bool) { v, err := strconv.ParseBool(s); return v, err == nil },
	"str":  func(s string) (any, bool) { return s, true },
	"u8":   integer[uint8], "u16": integer[uint16], "u32": integer[uint32], "u64": integer[uint64],
	"i8": integer[int8], "i16": integer[int16], "i32": integer[int32], "i64": integer[int64],
	"int": func(s string) (any, bool) {
		for _, parse := range []func(string) (any, bool){integer[uint32], integer[int32], integer[int64], integer[uint64]} {
			if v, ok := parse(s); ok {
				return v, true
			}
		}
		return nil, false
	},
	"float": float[float32], "f32": float[float32], "f64": float[float64],
}

func integer[T uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64](s string) (any, bool) {
	kind := reflect.TypeFor[T]()
	v := reflect.New(kind).Elem()
	if v.CanUint() {
		n, err := strconv.ParseUint(s, 10, kind.Bits())
		v.SetUint(n)
		return v.Interface(), err == nil
	}
	n, err := strconv.ParseInt(s, 10, kind.Bits())
	v.SetInt(n)
	return v.Interface(), err == nil
}

func float[T float32 | float64](s string) (any, bool) {
	v, err := strconv.ParseFloat(s, reflect.TypeFor[T]().Bits())
	return T(v), err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// ParseOverride reads the value of --override-kv. Code: USAGE.
func ParseOverride(text string) (Override, error) {
	key, rest, ok := strings.Cut(text, "=")
	typ, value, ok2 := strings.Cut(rest, ":")
	parse := parsers[typ]
	switch {
	case !ok || !ok2 || key == "" || parse == nil:
		return Override{}, fault.New("USAGE", "--override-kv %s: want KEY=TYPE:VALUE with TYPE int, float, bool or str (or u8 to i64, f32, f64), "+
			"such as tokenizer.ggml.add_bos_token=bool:false", fault.Quote(text))
	case slices.Contains(computed, key):
		return Override{}, fault.New("USAGE", "--override-kv %s: wf computes %s from what it writes; leave it out", fault.Quote(text), key)
	}
	v, ok := parse(value)
	if !ok {
		return Override{}, fault.New("USAGE", "--override-kv %s: %s is no %s", fault.Quote(text), fault.Quote(value), typ)
	}
	return Override{key, v, typ == "int" || typ == "float"}, nil
}

// ApplyOverrides sets the values of --override-kv in order, and says what a person should know of each. A key keeps its kind: text stays text and a
// list cannot be replaced. Code: USAGE.
func ApplyOverrides(md *gguf.Metadata, texts []string) (notices []string, err error) {
	for _, text := range texts {
		o, err := ParseOverride(text)
		if err != nil {
			return nil, err
		}
		old, ok := md.Get(o.Key)
		if !ok {
			notices = append(notices, fault.Quote(o.Key)+" is new: no reader may know it")
		} else if err := o.fit(old); err != nil {
			return nil, err
		}
		md.Set(o.Key, o.Value)
	}
	return notices, nil
}

// fit gives the value the type of the one it replaces, if both are numbers of a kind.
func (o *Override) fit(old any) error {
	have, want := reflect.ValueOf(o.Value), reflect.TypeOf(old)
	if have.Type() == want {
		return nil
	}
	whole := func(t reflect.Type) bool { return t.Kind() >= reflect.Int8 && t.Kind() <= reflect.Uint64 }
	real := func(t reflect.Type) bool { return t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64 }
	if whole(have.Type()) && whole(want) || real(have.Type()) && real(want) {
		if !o.loose {
			return nil // another width on purpose
		}
		if back := have.Convert(want).Convert(have.Type()); back.Equal(have) {
			o.Value = have.Convert(want).Interface()
			return nil
		}
	}
	return fault.New("USAGE", "--override-kv %s: the key is stored as %s, which %v is not", fault.Quote(o.Key), want, o.Value)
}
