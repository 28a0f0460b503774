package kernel

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	for _, r := range Check() {
		if r.Err != nil {
			t.Errorf("%s: %s: %v", r.Kernel, r.Function, r.Err)
		}
	}
	t.Run("every function has a check", func(t *testing.T) {
		for i := range reflect.TypeFor[kernel]().NumField() {
			f := reflect.TypeFor[kernel]().Field(i)
			checked := slices.ContainsFunc(checks, func(c checkOf) bool { return c.function == f.Name })
			if f.Type.Kind() == reflect.Func && !checked {
				t.Errorf("%s has none", f.Name)
			}
		}
	})
	t.Run("a wrong bit is found", func(t *testing.T) {
		d, wrong := newCheckData(), generic
		wrong.squares = func(x []float32) float32 { return squaresGeneric(x[1:]) }
		for _, c := range checks {
			if err := compare(c.run(&wrong, d), c.run(&generic, d)); (err != nil) != (c.function == "squares") {
				t.Errorf("%s: %v", c.function, err)
			}
		}
	})
}

func TestPeaks(t *testing.T) {
	for _, p := range Peaks(time.Millisecond, 2) {
		t.Logf("%s: %s %.1f G/s", p.Kernel, p.Instruction, p.GMACs)
		if !(p.GMACs > 0.01) {
			t.Errorf("%s is not measured", p.Instruction)
		}
	}
	if g := ReadBandwidth(make([]byte, 1<<22), 2); !(g > 0.01) {
		t.Errorf("read bandwidth is %g", g)
	}
}

func TestFeatures(t *testing.T) {
	if f := Features(); Name() != "generic" && len(f) == 0 {
		t.Errorf("%s runs, and no feature is named", Name())
	}
}
