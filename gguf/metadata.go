package gguf

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/wrinklefree/wf/gguf/fault"
)

// KV is one metadata entry. Value holds the Go type of the stored type: uint8 ... float64, bool, string, or a slice of one of those
// ([]string, []uint32, []bool ...) for an array.
type KV struct {
	Key   string
	Value any
}

// Metadata is an ordered set of entries with unique keys. The zero value is empty and ready. Values are shared, not copied: do not modify a
// slice that has been set or got.
type Metadata struct {
	entries []KV
	index   map[string]int // key -> place in entries
}

// Set replaces the value of a key in place, or appends the entry. It panics on a Go type that GGUF has not (TypeOf).
func (m *Metadata) Set(key string, value any) {
	if _, _, ok := TypeOf(value); !ok {
		panic(fmt.Sprintf("gguf: key %q: GGUF cannot store a %T", key, value))
	}
	if i, ok := m.index[key]; ok {
		m.entries[i].Value = value
		return
	}
	if m.index == nil {
		m.index = map[string]int{}
	}
	m.index[key] = len(m.entries)
	m.entries = append(m.entries, KV{key, value})
}

// Delete removes a key if it is there.
func (m *Metadata) Delete(key string) {
	i, ok := m.index[key]
	if !ok {
		return
	}
	m.entries = slices.Delete(m.entries, i, i+1)
	delete(m.index, key)
	for ; i < len(m.entries); i++ {
		m.index[m.entries[i].Key] = i
	}
}

// All returns the entries in file order. Do not modify them.
func (m *Metadata) All() []KV { return m.entries }

// Has reports whether there is an entry of that key.
func (m *Metadata) Has(key string) bool { _, ok := m.index[key]; return ok }

// Get returns the value of a key, of whatever type it is.
func (m *Metadata) Get(key string) (any, bool) {
	i, ok := m.index[key]
	if !ok {
		return nil, false
	}
	return m.entries[i].Value, true
}

// Clone returns a copy whose entries can be changed apart from m's.
func (m *Metadata) Clone() *Metadata {
	return &Metadata{slices.Clone(m.entries), maps.Clone(m.index)}
}

// Value reads one entry as exactly type T (strict, as llama.cpp is): ok is false and err nil when the key is absent; a key of another type
// is an error with code MODEL_BAD_PARAM_TYPE that names key, type found and type wanted.
func Value[T any](m *Metadata, key string) (v T, ok bool, err error) {
	if v, ok, err = value[T](m, key); err != nil {
		err = fmt.Errorf("gguf: %w", err)
	}
	return v, ok, err
}

func value[T any](m *Metadata, key string) (v T, ok bool, err error) {
	found, ok := m.Get(key)
	if !ok {
		return v, false, nil
	}
	if v, ok = found.(T); !ok {
		return v, false, fault.New("MODEL_BAD_PARAM_TYPE", "key %s is stored as %s; it must be %s",
			fault.Quote(key), describe(reflect.TypeOf(found)), describe(reflect.TypeFor[T]()))
	}
	return v, true, nil
}
