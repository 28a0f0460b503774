package gguf

import (
	"encoding/binary"
	"fmt"
	"reflect"
)

// ValueType is the type of a metadata value, as stored.
type ValueType uint32

// The value types of GGUF.
const (
	Uint8   ValueType = 0
	Int8    ValueType = 1
	Uint16  ValueType = 2
	Int16   ValueType = 3
	Uint32  ValueType = 4
	Int32   ValueType = 5
	Float32 ValueType = 6
	Bool    ValueType = 7
	String  ValueType = 8
	Array   ValueType = 9
	Uint64  ValueType = 10
	Int64   ValueType = 11
	Float64 ValueType = 12
)

// valueTypes is the one table from stored types to Go types; bytes is the least that one value takes in a file.
var valueTypes = [...]struct {
	goType reflect.Type
	bytes  uint64
}{
	Uint8:   {reflect.TypeFor[uint8](), 1},
	Int8:    {reflect.TypeFor[int8](), 1},
	Uint16:  {reflect.TypeFor[uint16](), 2},
	Int16:   {reflect.TypeFor[int16](), 2},
	Uint32:  {reflect.TypeFor[uint32](), 4},
	Int32:   {reflect.TypeFor[int32](), 4},
	Float32: {reflect.TypeFor[float32](), 4},
	Bool:    {reflect.TypeFor[bool](), 1},
	String:  {reflect.TypeFor[string](), 8},
	Array:   {nil, 12},
	Uint64:  {reflect.TypeFor[uint64](), 8},
	Int64:   {reflect.TypeFor[int64](), 8},
	Float64: {reflect.TypeFor[float64](), 8},
}

// String returns the type's Go name, "array", or the number of a type that GGUF has not.
func (t ValueType) String() string {
	switch {
	case int(t) >= len(valueTypes):
		return fmt.Sprintf("value type %d", uint32(t))
	case t == Array:
		return "array"
	}
	return valueTypes[t].goType.String()
}

// TypeOf returns how a Go value is stored: its type, or for a slice the type of its elements and array true. ok is false for a Go type that
// GGUF has not, named types included.
func TypeOf(value any) (t ValueType, array, ok bool) {
	return storedType(reflect.TypeOf(value))
}

func storedType(goType reflect.Type) (t ValueType, array, ok bool) {
	if goType == nil {
		return 0, false, false
	}
	if goType.Kind() == reflect.Slice && goType.Name() == "" {
		array, goType = true, goType.Elem()
	}
	for t, v := range valueTypes {
		if v.goType == goType {
			return ValueType(t), array, true
		}
	}
	return 0, false, false
}

// describe names a Go type in the words of an error.
func describe(goType reflect.Type) string {
	t, array, ok := storedType(goType)
	switch {
	case !ok:
		return fmt.Sprint(goType)
	case array:
		return "array of " + t.String()
	}
	return t.String()
}

// appendValue appends a value of a type that TypeOf knows, as an entry stores it behind its key.
func appendValue(b []byte, value any) []byte {
	t, array, _ := TypeOf(value)
	if array {
		b = binary.LittleEndian.AppendUint32(b, uint32(Array))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(t))
	if array {
		b = binary.LittleEndian.AppendUint64(b, uint64(reflect.ValueOf(value).Len()))
	}
	switch value := value.(type) {
	case string:
		return appendString(b, value)
	case []string:
		for _, s := range value {
			b = appendString(b, s)
		}
		return b
	}
	b, err := binary.Append(b, binary.LittleEndian, value)
	if err != nil {
		panic(err) // not a type that TypeOf knows
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}
