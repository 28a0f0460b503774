package checkpoint

import (
	"bufio"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/fault"
)

// A pickle is a program for a stack machine. This machine knows the instructions that torch.save writes (opcodes) and the names it mentions
// (globals); it builds only what can lead to a tensor and forgets the rest. Values are: nil, bool, int64, string, *tuple, *list, *dict,
// *global, *storage, *pickled, and opaque for everything whose content does not matter.
type (
	opaque struct{}
	tuple  struct {
		items []any
		spread
	}
	list struct{ spread } // its items are counted and forgotten
	dict struct {
		items map[string]any // *pickled, *dict or opaque
		odd   string         // the first key that is no string
		spread
	}
	storage struct {
		key   string // data/<key>
		numel int64
		class *global
	}
	pickled struct { // a tensor as the pickle describes it; nothing has been checked against its storage
		storage      *storage
		dtype        DType
		offset       int64
		size, stride []int64
	}
)

// spread counts the values that a container would unfold to. Memo references let a small file unfold to anything ("billion laughs"), and who
// walks maps in maps, as holdsTensors does, meets all of it.
type spread struct{ n int }

func (s spread) values() int { return s.n + 1 }

// Limits of a pickle.
const (
	maxPickle = 64 << 20 // bytes; a tensor takes 120
	maxStack  = 1 << 16
	maxSpread = 1 << 22
	maxLine   = 256 // of a global's module or name
	maxLong   = 32  // bytes of an integer: enough for the state of any random generator
)

// allowance returns the bytes of memory that the values of one pickle may take. It grows with the file, because a real checkpoint is nearly
// all storages: one tensor takes about 800 bytes here, however few its pickle needs.
func allowance(fileSize int64) int64 { return min(16<<20+fileSize/2, 128<<20) }

// machine runs one pickle.
type machine struct {
	file  *file
	r     *bufio.Reader
	off   int64 // bytes read
	size  int64
	op    int64 // offset of the instruction that runs
	stack []any
	marks []int
	memo  map[uint32]any
	left  int64 // of the allowance
}

// unpickle runs the size bytes at start of f and returns what they leave.
func unpickle(f *file, start, size int64) (any, error) {
	m := &machine{file: f, r: bufio.NewReader(io.NewSectionReader(f, start, size)), size: size, memo: map[uint32]any{}, left: allowance(f.Size())}
	if size > maxPickle {
		return nil, m.fail("PICKLE_LIMIT", "the pickle has %d bytes, wanted at most %d", size, maxPickle)
	}
	for {
		m.op = m.off
		b, err := m.byte()
		if err != nil {
			return nil, err
		}
		op := opcodes[b]
		switch {
		case b == '.':
			return m.stop()
		case op.run == nil:
			return nil, m.fail("PICKLE_FORBIDDEN_OPCODE", "instruction %#02x %s is not one that torch.save writes by default; "+
				"save the weights again: torch.save(model.state_dict(), path)", b, op.name)
		}
		if err := op.run(m); err != nil {
			return nil, err
		}
		if len(m.stack)+len(m.marks) > maxStack {
			return nil, m.fail("PICKLE_LIMIT", "the stack holds more than %d values", maxStack)
		}
		if m.left < 0 {
			return nil, m.fail("PICKLE_LIMIT", "its values need more than %d bytes of memory; a file of %d bytes gets no more", allowance(f.Size()), f.Size())
		}
	}
}

// fail makes an error about the instruction that runs.
func (m *machine) fail(code, format string, args ...any) error {
	return m.file.fail(code, "pickle at offset %d: "+format, append([]any{m.op}, args...)...)
}

// read fills p.
func (m *machine) read(p []byte) error {
	n, err := io.ReadFull(m.r, p)
	m.off += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return m.fail("PICKLE_CORRUPT", "the pickle ends inside an instruction, at byte %d", m.off)
	}
	return err
}

// byte reads one byte.
func (m *machine) byte() (byte, error) {
	b, err := m.r.ReadByte()
	if err == io.EOF {
		return 0, m.fail("PICKLE_CORRUPT", "the pickle ends at byte %d, without STOP", m.off)
	}
	m.off++
	return b, err
}

// line reads a text that ends in a newline.
func (m *machine) line() (string, error) {
	var text []byte
	for {
		c, err := m.byte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return string(text), nil
		}
		if text = append(text, c); len(text) > maxLine {
			return "", m.fail("PICKLE_LIMIT", "the name %s... has more than %d bytes", fault.Quote(string(text)), maxLine)
		}
	}
}

// push puts a value on the stack; cost is about what it takes in memory.
func (m *machine) push(v any, cost int) error {
	m.stack = append(m.stack, v)
	m.left -= int64(cost)
	return nil
}

// pop takes the top value off the stack, but not one below the last mark.
func (m *machine) pop() (any, error) {
	floor := 0
	if len(m.marks) > 0 {
		floor = m.marks[len(m.marks)-1]
	}
	if len(m.stack) <= floor {
		return nil, m.fail("PICKLE_CORRUPT", "the stack is empty")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// popMark takes the last mark and the values above it. They are valid until the next push.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, m.fail("PICKLE_CORRUPT", "there is no mark on the stack")
	}
	at := m.marks[len(m.marks)-1]
	m.marks = m.marks[:len(m.marks)-1]
	items := m.stack[at:]
	m.stack = m.stack[:at]
	return items, nil
}

// popN takes n values, in the order in which they were pushed.
func (m *machine) popN(n int) ([]any, error) {
	for range n {
		if _, err := m.pop(); err != nil {
			return nil, err
		}
	}
	return m.stack[len(m.stack) : len(m.stack)+n], nil
}

// top returns the top value and leaves it there.
func (m *machine) top() (any, error) {
	v, err := m.pop()
	if err == nil {
		m.stack = append(m.stack, v)
	}
	return v, err
}

// stop ends the program.
func (m *machine) stop() (any, error) {
	v, err := m.pop()
	if err == nil && len(m.stack)+len(m.marks) > 0 {
		err = m.fail("PICKLE_CORRUPT", "STOP leaves %d values and marks on the stack", len(m.stack)+len(m.marks))
	}
	if err == nil && m.off != m.size {
		err = m.fail("PICKLE_CORRUPT", "%d bytes follow STOP", m.size-m.off)
	}
	return v, err
}

// describe names a value's type for an error.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64:
		return "a number"
	case string:
		return "the string " + fault.Quote(v)
	case *tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dict"
	case *global:
		return "a global"
	case *storage:
		return "a storage"
	case *pickled:
		return "a tensor"
	}
	return "an object that is not kept"
}

// hold counts a value that goes into a container.
func (m *machine) hold(into *spread, v any) error {
	into.n++
	if c, ok := v.(interface{ values() int }); ok {
		into.n += c.values()
	}
	if into.n > maxSpread {
		return m.fail("PICKLE_LIMIT", "a container unfolds to more than %d values", maxSpread)
	}
	return nil
}

func (m *machine) pushTuple(items []any) error {
	t := &tuple{items: slices.Clone(items)}
	for _, v := range items {
		if err := m.hold(&t.spread, v); err != nil {
			return err
		}
	}
	return m.push(t, 48+16*len(items))
}

// appendItems is APPEND and APPENDS: the list stays on the stack.
func (m *machine) appendItems(items []any) error {
	target, err := m.top()
	if err != nil {
		return err
	}
	l, ok := target.(*list)
	if !ok {
		return m.fail("PICKLE_BAD_TARGET", "an item is appended to %s, wanted a list", describe(target))
	}
	for _, v := range items {
		if err := m.hold(&l.spread, v); err != nil {
			return err
		}
	}
	return nil
}

// setItems is SETITEM and SETITEMS: keys and values alternate, the map stays on the stack.
func (m *machine) setItems(items []any) error {
	target, err := m.top()
	if err != nil {
		return err
	}
	d, ok := target.(*dict)
	if !ok {
		return m.fail("PICKLE_BAD_TARGET", "an item is set in %s, wanted a dict", describe(target))
	}
	if len(items)%2 != 0 {
		return m.fail("PICKLE_CORRUPT", "a key has no value")
	}
	for i := 0; i < len(items); i += 2 {
		k, v := items[i], items[i+1]
		if err := m.hold(&d.spread, v); err != nil {
			return err
		}
		switch key := k.(type) {
		case string:
			if d.items == nil {
				d.items = map[string]any{}
			}
			switch v.(type) {
			case *pickled, *dict:
			default:
				v = opaque{}
			}
			d.items[key] = v
			m.left -= 96
		case *list, *dict, *storage, *pickled:
			return m.fail("PICKLE_BAD_TARGET", "%s is used as a key, wanted a string", describe(k))
		default:
			if d.odd == "" {
				d.odd = describe(k)
			}
		}
	}
	return nil
}

// remember is BINPUT: the top of the stack gets a number.
func (m *machine) remember(n uint32) error {
	v, err := m.top()
	m.memo[n] = v
	m.left -= 48
	return err
}

// recall is BINGET.
func (m *machine) recall(n uint32) error {
	v, ok := m.memo[n]
	if !ok {
		return m.fail("PICKLE_CORRUPT", "memo slot %d was never set", n)
	}
	return m.push(v, 0)
}

// text reads n bytes and pushes them as a string. A string too long for a name is read and not kept.
func (m *machine) text(n int64) error {
	if n > m.size-m.off {
		return m.fail("PICKLE_CORRUPT", "a string of %d bytes, but only %d bytes follow", n, m.size-m.off)
	}
	if n > maxText {
		discarded, err := m.r.Discard(int(n))
		m.off += int64(discarded)
		if err != nil {
			return err
		}
		return m.push(opaque{}, 0)
	}
	p := make([]byte, n)
	if err := m.read(p); err != nil {
		return err
	}
	return m.push(string(p), 32+len(p))
}

// unicode is text that must be UTF-8.
func (m *machine) unicode(n int64) error {
	if err := m.text(n); err != nil {
		return err
	}
	if s, ok := m.stack[len(m.stack)-1].(string); ok && !utf8.ValidString(s) {
		return m.fail("PICKLE_CORRUPT", "the string %s is not UTF-8", fault.Quote(s))
	}
	return nil
}

// long is LONG1: two's complement, little endian.
func (m *machine) long(n int) error {
	if n > maxLong {
		return m.fail("PICKLE_LIMIT", "an integer of %d bytes, wanted at most %d", n, maxLong)
	}
	p := make([]byte, n)
	if err := m.read(p); err != nil {
		return err
	}
	if n > 8 {
		return m.push(opaque{}, 0)
	}
	var v uint64
	for i, b := range p {
		v |= uint64(b) << (8 * i)
	}
	if shift := 64 - 8*n; n > 0 {
		return m.push(int64(v<<shift)>>shift, 16)
	}
	return m.push(int64(0), 16)
}

// global is GLOBAL: the one place where a name enters, and only names on the list do.
func (m *machine) global() error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	g, ok := globals[module+" "+name]
	if !ok {
		return m.fail("PICKLE_FORBIDDEN_GLOBAL", "%s is not a name that weights need; nothing was run; "+
			"export the weights only: torch.save(model.state_dict(), path)", fault.Quote(module+"."+name))
	}
	return m.push(g, 0)
}

// persistent is BINPERSID: ('storage', class, key, location, numel) stands for a storage.
func (m *machine) persistent() error {
	v, err := m.pop()
	if err != nil {
		return err
	}
	bad := func() error {
		return m.fail("PICKLE_BAD_TARGET", "a persistent id is %s, wanted ('storage', class, key, location, numel)", describe(v))
	}
	t, ok := v.(*tuple)
	if !ok || len(t.items) != 5 || t.items[0] != "storage" {
		return bad()
	}
	class, ok1 := t.items[1].(*global)
	key, ok2 := t.items[2].(string)
	numel, ok3 := t.items[4].(int64)
	if !ok1 || !ok2 || !ok3 || class.kind != storageClass && class.kind != untypedStorage {
		return bad()
	}
	return m.push(&storage{key, numel, class}, 64)
}

// reduce is REDUCE and NEWOBJ: what calling f with args would have made, for the few f that matter.
func (m *machine) reduce(f, args any) error {
	g, ok := f.(*global)
	if !ok || g.kind == storageClass || g.kind == untypedStorage || g.kind == elementType {
		return m.fail("PICKLE_BAD_TARGET", "%s is called, wanted a function", describe(f))
	}
	t, ok := args.(*tuple)
	if !ok {
		return m.fail("PICKLE_BAD_TARGET", "a function is called with %s, wanted a tuple", describe(args))
	}
	switch g.kind {
	case mapping:
		return m.mapping(t)
	case rebuildTensor, rebuildTensor3:
		return m.tensor(t, g.kind == rebuildTensor3)
	case rebuildParameter:
		if len(t.items) > 0 {
			if p, ok := t.items[0].(*pickled); ok {
				return m.push(p, 0)
			}
		}
		return m.fail("PICKLE_BAD_TARGET", "a parameter is made of something else than a tensor")
	case rebuildType:
		if len(t.items) == 4 && t.items[0] != f {
			return m.reduce(t.items[0], t.items[2])
		}
		return m.fail("PICKLE_BAD_TARGET", "_rebuild_from_type_v2 has %d arguments, wanted a function, a type, arguments and a state", len(t.items))
	}
	return m.push(opaque{}, 0)
}

// mapping makes an empty map. Items given to the constructor would be lost without a trace, so there may be none.
func (m *machine) mapping(args *tuple) error {
	for _, v := range args.items {
		if _, ok := v.(*global); !ok {
			return m.fail("PICKLE_BAD_TARGET", "a map is made from %s, wanted an empty one", describe(v))
		}
	}
	return m.push(&dict{}, 64)
}

// tensor makes a tensor from the arguments of _rebuild_tensor_v2 or v3.
func (m *machine) tensor(args *tuple, explicitType bool) error {
	needed := 6
	if explicitType {
		needed++
	}
	bad := func(what string) error {
		return m.fail("PICKLE_BAD_TARGET", "a tensor is made with %s, wanted storage, offset, size, stride, requires_grad, hooks, as torch.save writes", what)
	}
	if n := len(args.items); n != needed && n != needed+1 {
		return bad("a wrong number of arguments")
	}
	s, ok1 := args.items[0].(*storage)
	offset, ok2 := args.items[1].(int64)
	size, ok3 := integerTuple(args.items[2])
	stride, ok4 := integerTuple(args.items[3])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return bad("arguments of other types")
	}
	p := &pickled{storage: s, dtype: s.class.dtype, offset: offset, size: size, stride: stride}
	if explicitType {
		g, ok := args.items[6].(*global)
		if !ok || g.kind != elementType {
			return bad("no element type")
		}
		p.dtype = g.dtype
	} else if s.class.kind == untypedStorage {
		return bad("an untyped storage")
	}
	if len(args.items) > needed {
		if d, ok := args.items[needed].(*dict); ok && d.n > 0 {
			return bad("metadata: it is the negative or the conjugate of what is stored")
		}
	}
	return m.push(p, 112+16*len(size))
}

func integerTuple(v any) ([]int64, bool) {
	t, ok := v.(*tuple)
	if !ok {
		return nil, false
	}
	numbers := make([]int64, len(t.items))
	for i, item := range t.items {
		if numbers[i], ok = item.(int64); !ok {
			return nil, false
		}
	}
	return numbers, true
}

// build is BUILD: a state is given to an object. Nothing keeps attributes.
func (m *machine) build() error {
	if _, err := m.pop(); err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	switch v.(type) {
	case opaque, *dict, *pickled:
		return nil
	}
	return m.fail("PICKLE_BAD_TARGET", "a state is given to %s, wanted an object", describe(v))
}

// fixed reads n bytes as a little-endian number.
func (m *machine) fixed(n int) (uint32, error) {
	var v uint32
	for i := range n {
		b, err := m.byte()
		if err != nil {
			return 0, err
		}
		v |= uint32(b) << (8 * i)
	}
	return v, nil
}

// float is BINFLOAT, the one big-endian value; no tensor depends on it.
func (m *machine) float() error {
	var p [8]byte
	if err := m.read(p[:]); err != nil {
		return err
	}
	return m.push(opaque{}, 0)
}
