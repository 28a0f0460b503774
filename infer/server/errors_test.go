package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/wrinklefree/wf/gguf/fault"
)

var update = flag.Bool("update", false, "rewrite testdata/errors.json")

// ofTheMachineOrCode is what no client may see: a path, an address in memory, a place in the source, a stack.
var ofTheMachineOrCode = regexp.MustCompile(`(^|[ "])/[a-z]+/|0x[0-9a-f]{4,}|\.go\b|goroutine|runtime|secret-marker|127\.0\.0\.1|%!`)

// TestErrorBodies writes down every kind of error as clients get it. clienttest feeds the same bodies to OpenAI's own client.
func TestErrorBodies(t *testing.T) {
	all := map[string]*problem{
		"not found": {status: http.StatusNotFound, code: "not_found", text: "there is nothing here; docs/api.md lists the routes"}, "a bug": problemOf(os.ErrNotExist),
		"invalid": invalid("n", "n is 0; wanted a whole number from 1 to 128"), "unauthorized": errUnauthorized(), "loading": errLoading(), "draining": errDraining(),
	}
	for code := range translations {
		all[code] = problemOf(fault.New(code, "a sentence of the room below"))
	}
	type body struct {
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	}
	var list []body
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		t.Run("R102 "+name, func(t *testing.T) {
			text := p.body("req_x")
			if p.status < 400 || p.code == "" || p.text == "" || ofTheMachineOrCode.Match(text) {
				t.Errorf("%d %s", p.status, text)
			}
		})
		list = append(list, body{p.status, p.body("req_x")})
	}
	got, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("testdata/errors.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile("testdata/errors.json"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("R102: testdata/errors.json is not what clients get (%v): go test -run TestErrorBodies -update", err)
	}
}
