package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Limits of an index.
const (
	maxIndex    = 64 << 20 // bytes
	maxShards   = 1 << 10  // each stays open
	maxProblems = 1000     // that are listed one by one
)

// readIndex reads an index and the files it names. Each must exist and hold exactly the tensors that the index puts there; every problem is
// reported, not only the first.
func (c *Checkpoint) readIndex(f *file) ([]*Tensor, error) {
	index, err := f.scanIndex()
	if err != nil {
		return nil, err
	}
	shards := slices.Compact(slices.Sorted(maps.Values(index.shardOf)))
	if len(shards) > maxShards {
		return nil, f.fail("INDEX_LIMIT", "the index names %d files, wanted at most %d", len(shards), maxShards)
	}
	p := problems{file: f}
	for _, name := range shards { // all names, before any file is opened
		if name == "" || name == "." || strings.ContainsAny(name, `/\:`) || strings.Contains(name, "..") || !fault.Printable(name) {
			p.add("INDEX_BAD_PATH", "the index names the file %s, wanted a plain name in its own folder; nothing was opened", fault.Quote(name))
		}
	}
	if len(p.list) > 0 {
		return nil, p.err()
	}
	var tensors []*Tensor
	size := uint64(0)
	holder, broken := map[string]string{}, map[string]bool{}
	for _, name := range shards {
		found, err := c.readShard(filepath.Join(filepath.Dir(f.Name()), name))
		if errors.Is(err, errMissing) {
			err = f.fail("INDEX_INCONSISTENT", "the index names %s, which is not in its folder; download it", fault.Quote(name))
		}
		if err != nil {
			broken[name] = true
			p.list = append(p.list, err)
		}
		slices.SortFunc(found, byName)
		for _, t := range found {
			switch want, listed := index.shardOf[t.Name]; {
			case holder[t.Name] != "":
				p.add("INDEX_INCONSISTENT", "tensor %s is in %s and in %s", fault.Quote(t.Name), fault.Quote(holder[t.Name]), fault.Quote(name))
			case !listed:
				p.add("INDEX_INCONSISTENT", "tensor %s is in %s, but not in the index", fault.Quote(t.Name), fault.Quote(name))
			case want != name:
				p.add("INDEX_INCONSISTENT", "tensor %s is in %s, but the index puts it in %s", fault.Quote(t.Name), fault.Quote(name), fault.Quote(want))
			}
			holder[t.Name] = name
			size += uint64(t.size)
		}
		tensors = append(tensors, found...)
	}
	for _, name := range slices.Sorted(maps.Keys(index.shardOf)) {
		if shard := index.shardOf[name]; holder[name] == "" && !broken[shard] {
			p.add("INDEX_INCONSISTENT", "tensor %s is not in %s, where the index puts it", fault.Quote(name), fault.Quote(shard))
		}
	}
	if index.hasTotal && index.total != size {
		c.Notices = append(c.Notices, fmt.Sprintf("the index says total_size %d, but the tensors have %d bytes", index.total, size))
	}
	return tensors, p.err()
}

// index is {"metadata": {"total_size": total}, "weight_map": {tensor: file}}.
type index struct {
	total    uint64 // advisory
	hasTotal bool
	shardOf  map[string]string
}

func (f *file) scanIndex() (*index, error) {
	if f.Size() > maxIndex {
		return nil, f.fail("INDEX_LIMIT", "the index has %d bytes, wanted at most %d", f.Size(), maxIndex)
	}
	head, err := f.head()
	if err != nil {
		return nil, err
	}
	if what := notWeights(head); what != "" && head[0] != '{' {
		return nil, f.fail("NOT_WEIGHTS", "%s", what)
	}
	var x index
	s := f.scan(0, f.Size(), "INDEX_BAD_JSON", "INDEX_INCONSISTENT", "INDEX_LIMIT")
	s.object(64, func(key string) {
		switch c := s.next(); {
		case key == "weight_map":
			x.shardOf = map[string]string{}
			s.object(maxTensors, func(name string) { x.shardOf[name], _ = s.text() })
		case key == "metadata" && c == '{':
			s.object(64, func(key string) {
				if key == "total_size" {
					x.total, x.hasTotal, _ = s.integer()
				} else {
					s.skip(0)
				}
			})
		default:
			s.skip(0)
		}
	})
	if err := s.end(); err != nil {
		return nil, err
	}
	if x.shardOf == nil {
		return nil, f.fail("INDEX_BAD_JSON", "the index has no weight_map")
	}
	return &x, nil
}

// errMissing is a shard of which the folder has no trace. A link that leads nowhere is not that: it was there, and its target is what to look for.
var errMissing = errors.New("missing")

func (c *Checkpoint) readShard(path string) ([]*Tensor, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, errMissing
	}
	f, err := c.add(path)
	if err != nil {
		return nil, err
	}
	return c.read(f)
}

// problems collects errors about one file.
type problems struct {
	file *file
	list []error
	more int
}

func (p *problems) add(code, format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, p.file.fail(code, format, args...))
	} else {
		p.more++
	}
}

func (p *problems) err() error {
	if p.more > 0 {
		p.list = append(p.list, p.file.fail("INDEX_INCONSISTENT", "and %d more problems", p.more))
	}
	return errors.Join(p.list...)
}
