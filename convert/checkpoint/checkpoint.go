package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
)

// file is one open file of a checkpoint.
type file struct {
	*disk.File
	label   string
	archive *archive // of a PyTorch file
}

func openFile(path string) (*file, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{File: f, label: fault.Path(path)}, nil
}

// fail makes an error that names the file.
func (f *file) fail(code, format string, args ...any) error {
	return fault.New(code, "%s: "+format, append([]any{f.label}, args...)...)
}

// Checkpoint is an open checkpoint.
type Checkpoint struct {
	Format  string    // "safetensors" or "pytorch"
	Tensors []*Tensor // sorted by name, after wrappers and prefixes (FORMATS.md 4.4) were removed; optimizer state never appears
	Sources []Source  // weight and index files, sorted by name
	Notices []string  // what a person should know: dropped prefixes, tensors that were left out, a wrong total_size
	Dir     string    // the folder that holds config.json and the tokenizer
}

const (
	safetensorsFormat = "safetensors"
	torchFormat       = "pytorch"
)

// Open opens one file, or the weights in a folder: model.safetensors, model.safetensors.index.json, pytorch_model.bin,
// pytorch_model.bin.index.json, checkpoint.pt, or else its only .safetensors, .bin, .pt, .pth or .ckpt file. The content decides the format, not the
// name. Headers are read and checked completely, weights not at all.
//
// Codes: those of disk.Open; CKPT_NOT_FOUND, CKPT_ADAPTER, CKPT_AMBIGUOUS, CKPT_NO_TENSORS, NOT_WEIGHTS; ST_* for a safetensors header; INDEX_* for an
// index; ZIP_*, PICKLE_* and TENSOR_BAD_GEOMETRY for a PyTorch file; CKPT_LEGACY, CKPT_TORCHSCRIPT and CKPT_BIG_ENDIAN for one that is
// sound but not supported.
func Open(path string) (*Checkpoint, error) {
	c := &Checkpoint{Dir: path}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		if path, err = choose(path); err != nil {
			return nil, err
		}
	} else {
		c.Dir = filepath.Dir(path)
	}
	if err := c.open(path); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Checkpoint) open(path string) error {
	f, err := c.add(path)
	if err != nil {
		return err
	}
	var tensors []*Tensor
	if strings.HasSuffix(path, ".index.json") {
		tensors, err = c.readIndex(f)
	} else {
		tensors, err = c.read(f)
	}
	if err != nil {
		return err
	}
	c.Tensors = tensors
	c.rename()
	slices.SortFunc(c.Tensors, byName)
	slices.SortFunc(c.Sources, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	if len(c.Tensors) == 0 {
		return f.fail("CKPT_NO_TENSORS", "the checkpoint holds no tensors; name the file that holds the weights")
	}
	return nil
}

func byName(a, b *Tensor) int { return strings.Compare(a.Name, b.Name) }

// add opens a file and counts it among the sources.
func (c *Checkpoint) add(path string) (*file, error) {
	f, err := openFile(path)
	if err == nil {
		c.Sources = append(c.Sources, Source{Path: path, Name: filepath.Base(path), Size: f.Size(), file: f})
	}
	return f, err
}

// read reads a file of weights, whatever its name is.
func (c *Checkpoint) read(f *file) ([]*Tensor, error) {
	format, err := f.detect()
	if err != nil {
		return nil, err
	}
	if c.Format != "" && c.Format != format {
		return nil, f.fail("INDEX_INCONSISTENT", "it is a %s file, but the shard before it is %s", format, c.Format)
	}
	c.Format = format
	if format == safetensorsFormat {
		return readSafetensors(f)
	}
	tensors, notices, err := readTorch(f)
	c.Notices = append(c.Notices, notices...)
	return tensors, err
}

// detect tells the format from the first bytes. The name only decides what a file that looks like nothing was meant to be.
func (f *file) detect() (string, error) {
	head, err := f.head()
	switch {
	case err != nil:
		return "", err
	case looksLikeSafetensors(head):
		return safetensorsFormat, nil
	case strings.HasPrefix(head, "PK\x03\x04") || strings.HasPrefix(head, "PK\x05\x06") || strings.HasPrefix(head, "PK\x06\x06"): // the last two: no entries
		return torchFormat, nil
	case strings.HasPrefix(head, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"):
		return "", f.fail("CKPT_LEGACY", "a PyTorch file from before version 1.6; load it and save it again with torch.save")
	case len(head) >= 262 && head[257:262] == "ustar":
		return "", f.fail("CKPT_LEGACY", "a tar file, as the first versions of PyTorch wrote; load it and save it again with torch.save")
	case len(head) > 2 && head[0] == 0x80 && head[1] <= 5:
		return "", f.fail("CKPT_LEGACY", "a bare pickle, not a PyTorch zip file; save the weights with torch.save(model.state_dict(), path)")
	}
	if what := notWeights(head); what != "" {
		return "", f.fail("NOT_WEIGHTS", "%s", what)
	}
	if strings.HasSuffix(f.Name(), ".safetensors") {
		return safetensorsFormat, nil
	}
	return "", f.fail("NOT_WEIGHTS", "neither a safetensors file nor a PyTorch zip file: it begins with %s", fault.Quote(head[:min(len(head), 8)]))
}

// head returns the first bytes.
func (f *file) head() (string, error) {
	head := make([]byte, min(f.Size(), 512))
	_, err := f.ReadAt(head, 0)
	return string(head), err
}

// notWeights recognises what downloads leave in place of a file, and returns what it is and what to do, or "".
func notWeights(head string) string {
	text := strings.ToLower(strings.TrimSpace(head))
	switch {
	case strings.HasPrefix(text, "version https://git-lfs"):
		return "a Git LFS pointer, not the file it stands for; run git lfs pull"
	case strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html"):
		return "an HTML page, probably an error page that was saved instead of the file; download it again"
	case strings.HasPrefix(text, "{") || strings.HasPrefix(text, "["):
		return "a JSON text, probably an error message that was saved instead of the weights; download it again"
	case strings.HasPrefix(text, "gguf"):
		return "a GGUF file, which needs no conversion"
	}
	return ""
}

// known are the names of weights, best first.
var known = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "checkpoint.pt"}

// choose picks the weights in a folder: a known name, or else the only file that could be weights.
func choose(dir string) (string, error) {
	for _, name := range known {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fault.New("IO_ERROR", "%s: %w", fault.Path(dir), err)
	}
	var found []string
	for _, e := range entries {
		if slices.Contains([]string{".safetensors", ".bin", ".pt", ".pth", ".ckpt"}, filepath.Ext(e.Name())) {
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 1:
		if strings.HasPrefix(found[0], "adapter_model.") {
			return "", fault.New("CKPT_ADAPTER", "%s: the folder holds an adapter (%s) without the model that it changes; merge it into that model and save the whole",
				fault.Path(dir), found[0])
		}
		return filepath.Join(dir, found[0]), nil
	case 0:
		return "", fault.New("CKPT_NOT_FOUND", "%s: the folder holds no weights, wanted model.safetensors, pytorch_model.bin or checkpoint.pt", fault.Path(dir))
	}
	return "", fault.New("CKPT_AMBIGUOUS", "%s: the folder holds %d files that could be weights, such as %s and %s; name one", fault.Path(dir), len(found), fault.Quote(found[0]),
		fault.Quote(found[1]))
}

// Tensor finds a tensor by name.
func (c *Checkpoint) Tensor(name string) (*Tensor, bool) {
	i, ok := slices.BinarySearchFunc(c.Tensors, name, func(t *Tensor, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return nil, false
	}
	return c.Tensors[i], true
}
