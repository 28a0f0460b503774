package convert

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/quant"
)

// free are the options that do not change the bytes of the model, or that the file records elsewhere (Name, Version).
var free = []string{"Path", "ConfigDir", "Out", "SplitMaxSize", "Format", "Name", "Version", "Force", "DryRun", "Verify", "Threads", "Progress", "Notice", "calls"}

// TestCanonical sets every option alone and holds what a file would record against what is read back.
func TestCanonical(t *testing.T) {
	all := Options{}
	kind := reflect.TypeFor[Options]()
	for i := range kind.NumField() {
		field := kind.Field(i)
		if slices.Contains(free, field.Name) {
			continue
		}
		set := func(o *Options) {
			v := reflect.ValueOf(o).Elem().Field(i)
			if v.Kind() == reflect.Pointer {
				v.Set(reflect.New(v.Type().Elem()))
				v = v.Elem()
			}
			switch v.Kind() {
			case reflect.String:
				v.SetString("word")
			case reflect.Slice:
				v.Set(reflect.ValueOf([]string{"a b=str:\"c\"", "d"}))
			case reflect.Bool:
				v.SetBool(true)
			case reflect.Int, reflect.Int32:
				v.SetInt(7)
			case reflect.Float32:
				v.SetFloat(0.1)
			default:
				t.Fatalf("%s is a %s, which this test cannot set", field.Name, v.Kind())
			}
		}
		var one Options
		set(&one)
		if field.Name != "NoMask" { // contradicts MaskToken
			set(&all)
		}
		text := quant.Record(recorded, &one)
		got, err := quant.Recall(recorded, text)
		if text == "" || err != nil || !reflect.DeepEqual(*got, one) {
			t.Errorf("%s: recorded as %q, read back as %+v, %v", field.Name, text, got, err)
		}
	}
	got, err := quant.Recall(recorded, quant.Record(recorded, &all))
	if err != nil || !reflect.DeepEqual(*got, all) {
		t.Errorf("all options: %q, %v", quant.Record(recorded, &all), err)
	}
	if got, err := quant.Recall(recorded, ""); err != nil || !reflect.DeepEqual(*got, Options{}) {
		t.Errorf("no options: %+v, %v", got, err)
	}
	for _, text := range []string{"x", " ", "--outtype", "--outtype ", "--outtype F16", "--outtype f16 ", "--ternarizes", "--ternarize yes", "--block-size x",
		"--ternarize --outtype f16", "--block-size 07", "--shift-logits true", "--threshold 0.10", "--mask-token-id 1 --mask-token-id 2", strings.Repeat("--ternarize ", 1000), "--synthetic bitnet-2b"} {
		_, err := quant.Recall(recorded, text)
		requireCode(t, err, "RECEIPT_UNKNOWN")
	}
}
