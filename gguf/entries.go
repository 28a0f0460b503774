package gguf

import (
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/wrinklefree/wf/gguf/fault"
)

// metadata reads n entries.
func (p *parser) metadata(m *Metadata, n uint64) error {
	var at []uint64 // where each entry begins
	for i := range n {
		start := p.pos
		key, err := p.key()
		if err != nil {
			return fmt.Errorf("metadata entry %d at byte %d: %w", i, start, err)
		}
		if first, ok := m.index[key]; ok {
			return fault.New("GGUF_DUPLICATE_KEY", "key %s at byte %d is also at byte %d", fault.Quote(key), start, at[first])
		}
		value, err := p.value()
		if err != nil {
			return fmt.Errorf("key %s: %w", fault.Quote(key), err)
		}
		m.Set(key, value)
		at = append(at, start)
	}
	return nil
}

func (p *parser) key() (string, error) {
	n, err := p.uint64()
	if err != nil {
		return "", err
	}
	if n < 1 || n > maxKey {
		return "", fault.New("GGUF_BAD_KEY_LENGTH", "a key of %d bytes; it must have 1 to %d", n, maxKey)
	}
	if err := p.spend(n + entryBytes); err != nil {
		return "", err
	}
	key, err := p.string(n)
	if err == nil && !fault.Printable(key) {
		err = fault.New("GGUF_BAD_KEY", "key %s is not printable UTF-8", fault.Quote(key))
	}
	return key, err
}

// value reads a value behind its key.
func (p *parser) value() (any, error) {
	at := p.pos
	t, err := p.valueType()
	if err != nil {
		return nil, err
	}
	switch t {
	case String:
		return p.stringValue()
	case Array:
		if t, err = p.valueType(); err != nil {
			return nil, err
		}
		if t == Array {
			return nil, fault.New("GGUF_NESTED_ARRAY", "the value at byte %d is an array of arrays; neither llama.cpp nor wf reads those", at)
		}
		n, err := p.uint64()
		if err != nil {
			return nil, err
		}
		if n > p.left()/valueTypes[t].bytes {
			return nil, fault.New("GGUF_COUNT_EXCEEDS_FILE", "an array of %d values of type %s at byte %d cannot fit in the %d bytes that follow; "+
				"if the file was cut short, fetch it again", n, t, at, p.left())
		}
		if t == String {
			return p.strings(n)
		}
		values, err := p.numbers(t, n)
		if err != nil {
			return nil, err
		}
		return values.Interface(), nil
	}
	one, err := p.numbers(t, 1)
	if err != nil {
		return nil, err
	}
	return one.Index(0).Interface(), nil
}

func (p *parser) valueType() (ValueType, error) {
	at := p.pos
	n, err := p.uint32()
	if err == nil && n >= uint32(len(valueTypes)) {
		err = fault.New("GGUF_BAD_KV_TYPE", "value type %d at byte %d is unknown; types are 0 to %d", n, at, len(valueTypes)-1)
	}
	return ValueType(n), err
}

func (p *parser) stringValue() (string, error) {
	at := p.pos
	n, err := p.uint64()
	if err != nil {
		return "", err
	}
	if n <= p.left() { // else it is cut short
		if n > maxString {
			return "", fault.New("GGUF_LIMIT_STRING", "a string of %d bytes at byte %d; wf reads at most %d", n, at, maxString)
		}
		if err := p.spend(n); err != nil {
			return "", err
		}
	}
	return p.string(n)
}

// strings reads n strings; the file has been seen to have at least 8 bytes for each.
func (p *parser) strings(n uint64) (_ []string, err error) {
	if err := p.spend(n * stringBytes); err != nil {
		return nil, err
	}
	values := make([]string, n)
	for i := range values {
		if values[i], err = p.stringValue(); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return values, nil
}

// numbers reads n values of a type of fixed width as a slice; the file has been seen to have the bytes.
func (p *parser) numbers(t ValueType, n uint64) (values reflect.Value, err error) {
	width := valueTypes[t].bytes
	if err := p.spend(n * width); err != nil {
		return values, err
	}
	length := int(n) // fits: the budget does
	values = reflect.MakeSlice(reflect.SliceOf(valueTypes[t].goType), length, length)
	for done := 0; done < length; {
		some := min(length-done, bufferBytes/int(width))
		at := p.pos
		b, err := p.take(uint64(some) * width)
		if err != nil {
			return values, err
		}
		if t == Bool {
			for i, c := range b {
				if c > 1 {
					return values, fault.New("GGUF_BAD_BOOL", "bool %d at byte %d; it must be 0 or 1", c, at+uint64(i))
				}
			}
		}
		if _, err := binary.Decode(b, binary.LittleEndian, values.Slice(done, done+some).Interface()); err != nil {
			panic(err) // not a type of the table
		}
		done += some
	}
	return values, nil
}
