package infer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
	"github.com/wrinklefree/wf/quant"
)

// Options of loading. The zero value works and believes the file.
type Options struct {
	Threads          int       // 0: as many as the machine or its cgroup grants
	CacheType        gguf.Type // of keys and values: F32 or F16
	I2SLayout        string    // how I2_S codes lie in a file that does not say; "" is 128, quant.LayoutNames
	HiddenActivation string    // silu, relu2
	MaskToken        *int32    // --mask-token-id N
	NoMask           bool      // --mask-token-id none: decode token by token
	Dialect          string    // fast-dllm-v2, wrinklefree
	BlockSize        int       // tokens in a diffusion block
	SubBlockSize     int
	Strict           bool         // TENSOR_SUSPICIOUS is an error, unless the file allows the tensor
	Warn             func(string) // gets one sentence a call; may be nil
}

// Validate returns every problem at once, each with code BAD_OPTION.
func (o *Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fault.New("BAD_OPTION", "infer: "+format, args...))
		}
	}
	oneOf := func(flag, v string, allowed ...string) {
		check(v == "" || slices.Contains(allowed, v), "--%s %s: it must be one of %v", flag, fault.Quote(v), allowed)
	}
	check(o.Threads >= 0, "--threads %d: it must be at least 1", o.Threads)
	check(o.CacheType == gguf.F32 || o.CacheType == gguf.F16, "--cache-type %v: it must be f32 or f16", o.CacheType)
	oneOf("hidden-activation", o.HiddenActivation, names.SiLU, names.ReLU2)
	oneOf("dialect", o.Dialect, names.DialectFastDLLM, names.DialectWrinkleFree)
	_, ok := quant.ParseLayout(o.I2SLayout)
	check(ok, "--i2s-layout %s: it must be one of %s", fault.Quote(o.I2SLayout), quant.LayoutNames())
	check(o.BlockSize >= 0 && o.SubBlockSize >= 0, "--block-size %d --sub-block-size %d: they must be at least 1", o.BlockSize, o.SubBlockSize)
	check(o.MaskToken == nil || !o.NoMask, "--mask-token-id cannot be a number and none")
	return errors.Join(errs...)
}

func (o *Options) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(fmt.Sprintf(format, args...))
	}
}
