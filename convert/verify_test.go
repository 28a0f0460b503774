package convert

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// release is the version that the files of TestVerify are written and verified by.
const release = "1.2.3"

func verifyFile(t *testing.T, path, source, version string) error {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return Verify(context.Background(), f, VerifyOptions{ReplayOptions: quant.ReplayOptions{Source: source, Version: version}})
}

// TestVerify converts every shape with options that change bytes, verifies it, and damages one weight.
func TestVerify(t *testing.T) {
	eps := float32(1e-6)
	for i, s := range shapes {
		t.Run(s.path, func(t *testing.T) {
			t.Parallel()
			o := Options{Path: testdata + s.path, Out: filepath.Join(t.TempDir(), "out.gguf"), Version: release, Name: "a name of its own"}
			switch types := []string{"f16", "i2_s", "q8_0", "bf16", "auto", "tq1_0"}; {
			case s.source == "dense":
				o.Type, o.NoMask = "q8_0", true
			default:
				o.Type, o.SubLNEps, o.BlockSize = types[i%len(types)], &eps, 16
				o.NoMask = i%2 == 0
			}
			r, err := Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, version := range []string{release, "0.9.0"} {
				if err := verifyFile(t, r.Out, o.Path, version); err != nil {
					t.Errorf("release %s: %v", version, err)
				}
			}
			f, err := gguf.Open(r.Out)
			if err != nil {
				t.Fatal(err)
			}
			info, _ := f.Tensor("blk.1.attn_q.weight")
			place := int64(f.DataOffset + info.Offset + info.Size/2)
			f.Close()
			flipBit(t, r.Out, place, 0x40)
			err = verifyFile(t, r.Out, o.Path, release)
			if fault.Code(err) != "REPLAY_MISMATCH" || !strings.Contains(err.Error(), `tensor "blk.1.attn_q.weight": row `) {
				t.Errorf("[%s] %v", fault.Code(err), err)
			}
		})
	}
}

func flipBit(t *testing.T, path string, at int64, bit byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= bit
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// TestVerifySource verifies a good file against sources that are not, or not quite, what it was made from.
func TestVerifySource(t *testing.T) {
	const source = testdata + "fixtures/bitnet-online"
	out := filepath.Join(t.TempDir(), "out.gguf")
	if _, err := Run(context.Background(), Options{Path: source, Out: out, Type: "i2_s", Version: release}); err != nil {
		t.Fatal(err)
	}
	copied := func(t *testing.T, change func(dir string)) string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
			t.Fatal(err)
		}
		change(dir)
		return dir
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, code, words string
		change            func(dir string)
	}{
		{"a copy", "", "", func(string) {}},
		{"another weight", "SOURCE_MISMATCH", "model.safetensors has the sha256", func(dir string) {
			path := filepath.Join(dir, "model.safetensors")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			flipBit(t, path, info.Size()-1, 0x80)
		}},
		{"another config", "SOURCE_MISMATCH", "config.json has", func(dir string) {
			path := filepath.Join(dir, "config.json")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(path, string(text)+"\n")
		}},
		{"no tokenizer_config.json", "SOURCE_MISMATCH", `made from "tokenizer_config.json"`, func(dir string) {
			os.Remove(filepath.Join(dir, "tokenizer_config.json"))
		}},
		{"a dlm_config.json more", "SOURCE_MISMATCH", "without one", func(dir string) {
			write(filepath.Join(dir, "dlm_config.json"), `{"mask_token_id": 4}`)
		}},
		{"no weights", "SOURCE_MISMATCH", `made from "model.safetensors"`, func(dir string) { os.Remove(filepath.Join(dir, "model.safetensors")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := verifyFile(t, out, copied(t, c.change), release)
			if fault.Code(err) != c.code || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("[%s] %v", fault.Code(err), err)
			}
		})
	}
	t.Run("another checkpoint", func(t *testing.T) {
		if err := verifyFile(t, out, testdata+"fixtures/bitnet-sharded", release); fault.Code(err) != "SOURCE_MISMATCH" {
			t.Errorf("[%s] %v", fault.Code(err), err)
		}
	})
	t.Run("other options", func(t *testing.T) {
		f, err := gguf.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for options, code := range map[string]string{"--outtype i2_s": "", "--outtype f16": "REPLAY_MISMATCH",
			"--outtype i2_s --block-size 16": "REPLAY_MISMATCH",
			"quantize i2_s":                  "RECEIPT_UNKNOWN", "--synthetic x": "RECEIPT_UNKNOWN"} {
			f.Metadata.Set(names.Options, options)
			err := Verify(context.Background(), f, VerifyOptions{ReplayOptions: quant.ReplayOptions{Source: source, Version: release}})
			if fault.Code(err) != code && !(code == "" && strings.Contains(err.Error(), "wf.options")) {
				t.Errorf("%s: [%s] %v", options, fault.Code(err), err)
			}
		}
		f.Metadata.Delete(names.Version)
		err = Verify(context.Background(), f, VerifyOptions{ReplayOptions: quant.ReplayOptions{Source: source, Version: release}})
		if fault.Code(err) != "RECEIPT_MISSING" {
			t.Errorf("[%s] %v", fault.Code(err), err)
		}
	})
}

// TestPreview: what is shown is what Run does, and there is no output to stumble over.
func TestPreview(t *testing.T) {
	o := Options{Path: testdata + "fixtures/wrinklefree-pt", Type: "i2_s", Version: release}
	seen, err := Preview(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Out = filepath.Join(t.TempDir(), "out.gguf")
	did, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Size != did.Size || seen.Architecture != did.Architecture || seen.Source != "online" ||
		len(seen.Tensors) != len(did.Tensors) || seen.Written {
		t.Errorf("previewed %+v, did %+v", seen, did)
	}
	if value, ok := seen.Keys.Get(names.TokenizerPre); !ok || value == "" {
		t.Errorf("no %s in the preview", names.TokenizerPre)
	}
	f, err := gguf.Open(did.Out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := quant.Verify(context.Background(), f, quant.VerifyOptions{Shares: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range seen.Tensors {
		if share := v.Tensors[i].Share; (share == nil) != (line.Ternary == nil) || share != nil && *share != *line.Ternary {
			t.Errorf("%s: previewed %v, wrote %v", line.Name, line.Ternary, share)
		}
	}
	if _, err := Preview(context.Background(), Options{Path: "nowhere"}); fault.Code(err) != "NOT_FOUND" {
		t.Error(err)
	}
}
