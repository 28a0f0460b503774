package gguf

import (
	"reflect"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

func TestMetadata(t *testing.T) {
	m := metadata("a", uint32(1), "b", "two", "c", []bool{true})
	m.Set("a", uint32(10)) // in place
	clone := m.Clone()
	clone.Set("d", int8(4))
	clone.Delete("b")
	clone.Delete("absent")
	if want := []KV{{"a", uint32(10)}, {"b", "two"}, {"c", []bool{true}}}; !reflect.DeepEqual(m.All(), want) {
		t.Errorf("original %v, want %v", m.All(), want)
	}
	if want := []KV{{"a", uint32(10)}, {"c", []bool{true}}, {"d", int8(4)}}; !reflect.DeepEqual(clone.All(), want) {
		t.Errorf("clone %v, want %v", clone.All(), want)
	}
	for _, kv := range clone.All() {
		if v, ok := clone.Get(kv.Key); !ok || !reflect.DeepEqual(v, kv.Value) {
			t.Errorf("Get(%q) = %v, %v; want %v", kv.Key, v, ok, kv.Value)
		}
	}
	if clone.Has("b") || !m.Has("b") {
		t.Error("b was deleted from the wrong one")
	}
}

func TestValueIsStrict(t *testing.T) {
	m := metadata("n", uint32(7), "list", []string{"x"})
	if v, ok, err := Value[uint32](m, "n"); v != 7 || !ok || err != nil {
		t.Errorf("Value[uint32] = %v, %v, %v", v, ok, err)
	}
	if _, ok, err := Value[uint32](m, "absent"); ok || err != nil {
		t.Errorf("absent key: %v, %v", ok, err)
	}
	for _, c := range []struct {
		read  func() error
		words string
	}{
		{func() error { _, _, err := Value[int32](m, "n"); return err }, `key "n" is stored as uint32; it must be int32`},
		{func() error { _, _, err := Value[uint64](m, "n"); return err }, "uint64"},
		{func() error { _, _, err := Value[string](m, "list"); return err }, "stored as array of string; it must be string"},
		{func() error { _, _, err := Value[[]uint32](m, "list"); return err }, "it must be array of uint32"},
	} {
		if err := c.read(); fault.Code(err) != "MODEL_BAD_PARAM_TYPE" || !strings.Contains(err.Error(), c.words) {
			t.Errorf("[%s] %v, want %q", fault.Code(err), err, c.words)
		}
	}
}

func TestSetPanicsOnForeignTypes(t *testing.T) {
	type named uint32
	type list []uint32
	for _, v := range []any{nil, 1, uint(1), named(1), list{1}, []int{1}, [][]uint8{{1}}, struct{}{}, map[string]string{}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Set took a %T", v)
				}
			}()
			metadata("k", v)
		}()
	}
}
