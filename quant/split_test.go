package quant

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// split runs into a folder of its own, with files of at most most bytes.
func split(t *testing.T, in string, most uint64, change func(o *Options)) (*Report, string, error) {
	t.Helper()
	o := types(gguf.I2_S)
	o.In, o.Out, o.SplitMaxSize = in, filepath.Join(t.TempDir(), "m.gguf"), most
	if change != nil {
		change(&o)
	}
	report, err := Run(context.Background(), o)
	return report, filepath.Dir(o.Out), err
}

// TestSplitRun: a split file is the same model as the single one, in and out.
func TestSplitRun(t *testing.T) {
	in := bitNet(gguf.F16).write(t)
	want, single := run(t, in, types(gguf.I2_S))
	report, dir, err := split(t, in, single.Size/3, nil)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	size := uint64(0)
	for _, p := range report.Files {
		files = append(files, filepath.Base(p.Path))
		info, err := os.Stat(p.Path)
		if err != nil || uint64(info.Size()) != p.Size {
			t.Errorf("%s: %v, %v", p.Path, info, err)
		}
		size += p.Size
	}
	onlyFiles(t, dir, files...)
	if len(files) < 3 || report.Out != report.Files[0].Path || report.Size != size || files[0] != "m-00001-of-0000"+string(rune('0'+len(files)))+".gguf" {
		t.Errorf("%+v", report)
	}
	got := open(t, report.Out)
	for _, kv := range want.Metadata.All() {
		if v, _ := got.Metadata.Get(kv.Key); !bytes.Equal(appendAny(v), appendAny(kv.Value)) {
			t.Errorf("%s is %v, want %v", kv.Key, v, kv.Value)
		}
	}
	same := func(f *gguf.File) {
		t.Helper()
		for i := range want.Tensors {
			if name := want.Tensors[i].Name; f.Tensors[i].Name != name || !bytes.Equal(data(t, f, name), data(t, want, name)) {
				t.Errorf("%s is another tensor", name)
			}
		}
	}
	same(got)
	if v, err := Verify(context.Background(), got, VerifyOptions{}); err != nil || len(v.Problems)+len(v.Warnings) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if err := Replay(context.Background(), got, ReplayOptions{Source: in, Version: "1.2.3"}); err != nil {
		t.Error(err)
	}

	again, _ := run(t, report.Out, types(gguf.I2_S)) // split in, whole out
	same(again)
	if sources, _ := again.Metadata.Get(names.SourceFiles); len(sources.([]string)) != len(files) {
		t.Errorf("sources are %v", sources)
	}
	if err := Replay(context.Background(), again, ReplayOptions{Source: report.Out, Version: "1.2.3"}); err != nil {
		t.Error(err)
	}
	for _, input := range got.Paths() { // every one must not be overwritten
		_, _, err := split(t, report.Out, 0, func(o *Options) { o.Out, o.Force = input, true })
		wantCode(t, err, "OUTPUT_IS_INPUT")
	}
	if one, _, err := split(t, in, single.Size, nil); err != nil || len(one.Files) != 1 || filepath.Base(one.Out) != "m.gguf" {
		t.Errorf("what fits is not split: %+v, %v", one, err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if fault.Code(err) != code {
		t.Errorf("[%s] %v, want %s", fault.Code(err), err, code)
	}
}

func appendAny(v any) []byte {
	md := &gguf.Metadata{}
	md.Set("k", v)
	var h header
	gguf.NewWriter(&h, md, nil)
	return h
}

// lastRename fails the rename of the file that comes last, the first of the model.
type lastRename struct{ disk.System }

func (lastRename) Rename(from, to string) error {
	if strings.Contains(to, "00001-of") {
		return errors.New("no")
	}
	return os.Rename(from, to)
}

func TestSplitAllOrNone(t *testing.T) {
	in := bitNet(gguf.F16).write(t)
	_, dir, err := split(t, in, 50_000, func(o *Options) { o.calls = lastRename{} })
	wantCode(t, err, "IO_ERROR")
	onlyFiles(t, dir)

	report, dir, err := split(t, in, 50_000, func(o *Options) { o.DryRun = true })
	if err != nil || len(report.Files) < 3 {
		t.Fatal(report, err)
	}
	onlyFiles(t, dir)
	last := filepath.Base(report.Files[len(report.Files)-1].Path)
	for _, dry := range []bool{true, false} {
		_, dir, err = split(t, in, 50_000, func(o *Options) {
			o.DryRun = dry
			if err := os.WriteFile(filepath.Join(filepath.Dir(o.Out), last), []byte("here"), 0o666); err != nil {
				t.Fatal(err)
			}
		})
		wantCode(t, err, "OUTPUT_EXISTS")
		onlyFiles(t, dir, last)
	}
	_, _, err = split(t, in, 10, nil) // a file for each tensor, larger than asked
	if err != nil {
		t.Error(err)
	}
}
