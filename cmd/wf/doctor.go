package main

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/infer"
	"github.com/wrinklefree/wf/infer/kernel"
	"github.com/wrinklefree/wf/infer/tiny"
	"golang.org/x/sys/cpu"
)

func newDoctorCmd(env *environment) *cobra.Command {
	var threads int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that this machine computes the same bits as every other, and measure it",
		Long: `Check that this machine computes the same bits as every other, and measure what it can do at most.

Every kernel that the processor supports is held against plain Go on fixed data, bit for bit. Then the model that wf carries computes logits of
fixed ids under both masks; their sha256, the fingerprint, is the same on every machine. If anything differs the exit status is 1.

The peaks are loops of nothing but one multiply-add instruction, on all threads; read bandwidth is that of memory, not of a cache.`,
		Example: "  wf doctor\n  wf doctor --json -t 1",
		Args:    positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := examine(threads)
			if err != nil {
				return err
			}
			if asJSON {
				err = env.writeJSON(d)
			} else {
				err = env.printDiagnosis(d)
			}
			return errors.Join(err, d.err())
		},
	}
	cmd.Flags().IntVarP(&threads, "threads", "t", 0, "threads to compute with (0: as many as the processor quota allows)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// diagnosis is what wf doctor finds.
type diagnosis struct {
	Version     string   `json:"version"`
	Go          string   `json:"go"`
	Platform    string   `json:"platform"`
	Features    []string `json:"features"`   // of the processor, those that arithmetic can use
	Processors  int      `json:"processors"` // that the system shows
	Quota       int      `json:"quota"`      // how many of them wf may use
	Kernel      string   `json:"kernel"`     // in use
	Checks      []check  `json:"checks"`
	Fingerprint string   `json:"fingerprint"`
	Expected    string   `json:"fingerprint_expected"`
	Limits      *limits  `json:"limits"`
}

// check is one function of one kernel.
type check struct {
	Kernel   string `json:"kernel"`
	Function string `json:"function"`
	Error    string `json:"error,omitempty"`
}

func examine(threads int) (*diagnosis, error) {
	d := &diagnosis{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Features: features(),
		Processors: runtime.NumCPU(), Quota: runtime.GOMAXPROCS(0), Kernel: kernel.Name(), Expected: tiny.Fingerprint,
	}
	for _, c := range kernel.Check() {
		entry := check{Kernel: c.Kernel, Function: c.Function}
		if c.Err != nil {
			entry.Error = c.Err.Error()
		}
		d.Checks = append(d.Checks, entry)
	}
	file, err := gguf.Parse(tiny.Model)
	if err != nil {
		return nil, err
	}
	m, err := infer.LoadFile(file, infer.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if d.Fingerprint, err = m.Fingerprint(); err != nil {
		return nil, err
	}
	if threads == 0 {
		threads = d.Quota
	}
	y, err := newYardstick(threads)
	if err != nil {
		return nil, err
	}
	d.Limits = y.best(5)
	return d, y.close()
}

// features lists the processor's vector and multiply-add extensions, as package cpu names them.
func features() []string {
	relevant := []string{"SSSE3", "AVX", "FMA", "F16C", "ASIMD", "SVE", "I8MM"}
	found := []string{}
	for _, set := range []any{cpu.X86, cpu.ARM64} {
		v := reflect.ValueOf(set)
		for i := range v.NumField() {
			name, isFeature := strings.CutPrefix(v.Type().Field(i).Name, "Has")
			if !isFeature || !v.Field(i).Bool() {
				continue
			}
			for _, prefix := range relevant {
				if strings.HasPrefix(name, prefix) {
					found = append(found, strings.ToLower(name))
					break
				}
			}
		}
	}
	return found
}

// err is a bug of ours, or a processor that does not compute what its makers say.
func (d *diagnosis) err() error {
	var errs []error
	for _, c := range d.Checks {
		if c.Error != "" {
			errs = append(errs, fmt.Errorf("kernel %s, function %s: %s", c.Kernel, c.Function, c.Error))
		}
	}
	if d.Fingerprint != d.Expected {
		errs = append(errs, fmt.Errorf("the fingerprint of %s is %s; on every other machine it is %s", tiny.Name, d.Fingerprint, d.Expected))
	}
	return errors.Join(errs...)
}

func (env *environment) printDiagnosis(d *diagnosis) error {
	w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	line("wf", "%s, %s, %s", d.Version, d.Go, d.Platform)
	line("features", "%s", strings.Join(d.Features, " "))
	line("processors", "%d, of which wf may use %d", d.Processors, d.Quota)
	line("kernel", "%s", d.Kernel)
	for i := 0; i < len(d.Checks); {
		name, first, wrong := d.Checks[i].Kernel, i, 0
		for ; i < len(d.Checks) && d.Checks[i].Kernel == name; i++ {
			if d.Checks[i].Error != "" {
				wrong++
			}
		}
		line("check "+name, "%d functions, %d differ from generic", i-first, wrong)
	}
	same := "as on every machine"
	if d.Fingerprint != d.Expected {
		same = "NOT as on other machines"
	}
	line("fingerprint", "%s, %s", d.Fingerprint, same)
	for _, p := range d.Limits.Peaks {
		line("peak", "%s: %.1f G multiply-adds/s, %d threads (%s)", p.Instruction, p.GMACs, d.Limits.Threads, p.Kernel)
	}
	line("read", "%.1f GB/s, %d threads", d.Limits.ReadGBs, d.Limits.Threads)
	return w.Flush()
}
