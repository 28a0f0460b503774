package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/infer/tiny"
)

// TestDoctorComplains: a kernel or a fingerprint that differs is an error for each, exit status 1, and the report says so.
func TestDoctorComplains(t *testing.T) {
	d := &diagnosis{
		Checks:      []check{{Kernel: "avx2", Function: "ternary", Error: "number 3 is 1, and generic's is 2"}, {Kernel: "avx2", Function: "exp"}, {Kernel: "generic", Function: "exp"}},
		Fingerprint: "00", Expected: tiny.Fingerprint, Limits: &limits{},
	}
	err := d.err()
	if err == nil || len(problems(err)) != 2 || !strings.Contains(err.Error(), "kernel avx2, function ternary") || !strings.Contains(err.Error(), tiny.Fingerprint) {
		t.Errorf("got %v", err)
	}
	if got := exitStatus(err); got != exitBug {
		t.Errorf("exit status %d, want %d", got, exitBug)
	}
	var out bytes.Buffer
	if err := (&environment{stdout: &out}).printDiagnosis(d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 functions, 1 differ", "1 functions, 0 differ", "NOT as on other machines"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}
