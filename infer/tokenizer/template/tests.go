package template

// test makes what may stand behind "is".
func test(name string, passes func(v value) bool) *builtin {
	return &builtin{name: name, run: func(_ *run, of value, _ []value, _ given) value { return passes(of) }}
}

// relation makes a test with an argument, such as "is eq 3".
func relation(name, op string) *builtin {
	return &builtin{name: name, parameters: []string{"other"}, required: 1, run: func(r *run, of value, args []value, _ given) value {
		return r.holds(op, of, args[0])
	}}
}

func isA[T any](v value) bool { _, ok := v.(T); return ok }

func isNumeric(v value) bool { _, _, _, ok := number(v); return ok }

// whole is a number that odd, even and divisibleby make sense of.
func whole(v value) int64 { return intArg(v, 0) }

var tests = table(
	relation("==", "=="), relation("eq", "=="), relation("equalto", "=="),
	relation("!=", "!="), relation("ne", "!="),
	relation("<", "<"), relation("lt", "<"), relation("lessthan", "<"),
	relation("<=", "<="), relation("le", "<="),
	relation(">", ">"), relation("gt", ">"), relation("greaterthan", ">"),
	relation(">=", ">="), relation("ge", ">="),
	relation("in", "in"), relation("sameas", "=="),
	test("boolean", isA[bool]),
	test("callable", isA[callable]),
	test("defined", func(v value) bool { return !isA[undefined](v) }),
	&builtin{name: "divisibleby", parameters: []string{"num"}, required: 1, run: func(_ *run, of value, args []value, _ given) value {
		return integers("%", whole(of), whole(args[0])) == int64(0)
	}},
	test("even", func(v value) bool { return whole(v)%2 == 0 }),
	test("false", func(v value) bool { return v == false }),
	test("float", isA[float64]),
	test("integer", isA[int64]),
	test("iterable", func(v value) bool { return isA[Text](v) || isA[*list](v) || isA[*dict](v) || isA[undefined](v) }),
	test("mapping", isA[*dict]),
	test("none", func(v value) bool { return v == nil }),
	test("number", isNumeric),
	test("odd", func(v value) bool { return whole(v)%2 != 0 }),
	test("sequence", func(v value) bool { return isA[Text](v) || isA[*list](v) || isA[*dict](v) || isA[undefined](v) }),
	test("string", isA[Text]),
	test("true", func(v value) bool { return v == true }),
	test("undefined", isA[undefined]),
)
