package checkpoint

// opcode is an instruction: its name as in Python's pickletools, and what it does. Those that torch.save does not write have no run.
type opcode struct {
	name string
	run  func(*machine) error
}

// withNumber is an instruction that is followed by a number of n bytes.
func withNumber(n int, f func(m *machine, v uint32) error) func(*machine) error {
	return func(m *machine) error {
		v, err := m.fixed(n)
		if err != nil {
			return err
		}
		return f(m, v)
	}
}

// with is an instruction that works on the n topmost values.
func with(n int, f func(m *machine, v []any) error) func(*machine) error {
	return func(m *machine) error {
		v, err := m.popN(n)
		if err != nil {
			return err
		}
		return f(m, v)
	}
}

// withMarked is an instruction that works on the values above the last mark.
func withMarked(f func(m *machine, v []any) error) func(*machine) error {
	return func(m *machine) error {
		v, err := m.popMark()
		if err != nil {
			return err
		}
		return f(m, v)
	}
}

// opcodes are all instructions of pickle protocols 0 to 5.
var opcodes = [256]opcode{
	0x80: {"PROTO", withNumber(1, func(m *machine, v uint32) error {
		if m.op != 0 || v > 5 {
			return m.fail("PICKLE_CORRUPT", "PROTO %d, wanted 2 and only at the beginning", v)
		}
		return nil
	})},
	'.': {"STOP", nil},

	'(':  {"MARK", func(m *machine) error { m.marks = append(m.marks, len(m.stack)); return nil }},
	'}':  {"EMPTY_DICT", func(m *machine) error { return m.push(&dict{}, 64) }},
	']':  {"EMPTY_LIST", func(m *machine) error { return m.push(&list{}, 16) }},
	')':  {"EMPTY_TUPLE", func(m *machine) error { return m.pushTuple(nil) }},
	't':  {"TUPLE", withMarked((*machine).pushTuple)},
	0x85: {"TUPLE1", with(1, (*machine).pushTuple)},
	0x86: {"TUPLE2", with(2, (*machine).pushTuple)},
	0x87: {"TUPLE3", with(3, (*machine).pushTuple)},
	'a':  {"APPEND", with(1, (*machine).appendItems)},
	'e':  {"APPENDS", withMarked((*machine).appendItems)},
	's':  {"SETITEM", with(2, (*machine).setItems)},
	'u':  {"SETITEMS", withMarked((*machine).setItems)},

	'q': {"BINPUT", withNumber(1, (*machine).remember)},
	'r': {"LONG_BINPUT", withNumber(4, (*machine).remember)},
	'h': {"BINGET", withNumber(1, (*machine).recall)},
	'j': {"LONG_BINGET", withNumber(4, (*machine).recall)},

	'N':  {"NONE", func(m *machine) error { return m.push(nil, 0) }},
	0x88: {"NEWTRUE", func(m *machine) error { return m.push(true, 0) }},
	0x89: {"NEWFALSE", func(m *machine) error { return m.push(false, 0) }},
	'J':  {"BININT", withNumber(4, func(m *machine, v uint32) error { return m.push(int64(int32(v)), 16) })},
	'K':  {"BININT1", withNumber(1, func(m *machine, v uint32) error { return m.push(int64(v), 16) })},
	'M':  {"BININT2", withNumber(2, func(m *machine, v uint32) error { return m.push(int64(v), 16) })},
	0x8a: {"LONG1", withNumber(1, func(m *machine, v uint32) error { return m.long(int(v)) })},
	'G':  {"BINFLOAT", (*machine).float},

	'X': {"BINUNICODE", withNumber(4, func(m *machine, v uint32) error { return m.unicode(int64(v)) })},
	'U': {"SHORT_BINSTRING", withNumber(1, func(m *machine, v uint32) error { return m.text(int64(v)) })},

	'c':  {"GLOBAL", (*machine).global},
	'R':  {"REDUCE", with(2, func(m *machine, v []any) error { return m.reduce(v[0], v[1]) })},
	0x81: {"NEWOBJ", with(2, func(m *machine, v []any) error { return m.reduce(v[0], v[1]) })},
	'b':  {"BUILD", (*machine).build},
	'Q':  {"BINPERSID", (*machine).persistent},

	// Protocols 0 and 1.
	'0': {"POP", nil}, '1': {"POP_MARK", nil}, '2': {"DUP", nil}, 'F': {"FLOAT", nil}, 'I': {"INT", nil}, 'L': {"LONG", nil}, 'P': {"PERSID", nil},
	'S': {"STRING", nil}, 'T': {"BINSTRING", nil}, 'V': {"UNICODE", nil}, 'd': {"DICT", nil}, 'g': {"GET", nil}, 'i': {"INST", nil},
	'l': {"LIST", nil}, 'o': {"OBJ", nil}, 'p': {"PUT", nil},
	// Protocol 2.
	0x82: {"EXT1", nil}, 0x83: {"EXT2", nil}, 0x84: {"EXT4", nil}, 0x8b: {"LONG4", nil},
	// Protocol 3.
	'B': {"BINBYTES", nil}, 'C': {"SHORT_BINBYTES", nil},
	// Protocol 4.
	0x8c: {"SHORT_BINUNICODE", nil}, 0x8d: {"BINUNICODE8", nil}, 0x8e: {"BINBYTES8", nil}, 0x8f: {"EMPTY_SET", nil}, 0x90: {"ADDITEMS", nil},
	0x91: {"FROZENSET", nil}, 0x92: {"NEWOBJ_EX", nil}, 0x93: {"STACK_GLOBAL", nil}, 0x94: {"MEMOIZE", nil}, 0x95: {"FRAME", nil},
	// Protocol 5.
	0x96: {"BYTEARRAY8", nil}, 0x97: {"NEXT_BUFFER", nil}, 0x98: {"READONLY_BUFFER", nil},
}
