package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wf": main})
}

// TestScripts runs the commands as a user does; testdata/script/*.txtar say what must happen. $FIXTURES is testdata/fixtures, $TINY the
// demonstration model's checkpoint, $DOCS docs.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "FIXTURES="+filepath.Join(root, "fixtures"), "TINY="+filepath.Join(root, "tinydlm"),
				"DOCS="+filepath.Join(root, "..", "docs"), "NO_COLOR=1")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"damage": cmdDamage,
			"screen": cmdScreen,
			"status": cmdStatus,
		},
		UpdateScripts: os.Getenv("WF_UPDATE_SCRIPTS") != "",
	})
}

// cmdStatus runs wf and compares its exit status: status 3 wf convert ... It keeps standard output and error for the lines after it.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit status %d, want %d", args[1:], got, want)
	}
}
