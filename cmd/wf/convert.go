package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/convert"
)

func newConvertCmd(env *environment) *cobra.Command {
	o := convert.Options{Format: "gguf", Type: "f16"}
	var mask maskToken
	var asJSON, verify bool
	eps, threshold, shift := optionalFloat(), optionalFloat(), optionalBool()
	cmd := &cobra.Command{
		Use:        "convert CHECKPOINT",
		Short:      "Write a checkpoint as GGUF",
		SuggestFor: []string{"import", "create"},
		Long: `Write a checkpoint as one GGUF file. CHECKPOINT is a folder as Hugging Face saves it (safetensors or pytorch_model.bin, one file or sharded), or
one weight file with config.json beside it.

The ternary layers of a BitNet model are ternarised by mean |W| before they are written in any type. Every tensor is claimed by a rule, or the
conversion stops and writes nothing.`,
		Example: `  wf convert ./checkpoint                        # writes checkpoint-F16.gguf
  wf convert ./checkpoint --outtype i2_s         # two bits a weight, straight from the checkpoint
  wf convert ./checkpoint --dry-run              # print what would be written`,
		Args:              positional(cobra.ExactArgs(1)),
		ValidArgsFunction: filesEnding(checkpointFiles...),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Path, o.Version, o.Notice = args[0], version, env.note
			o.MaskToken, o.NoMask = mask.id, mask.none
			o.SubLNEps, o.Threshold, o.ShiftLogits = eps.value, threshold.value, shift.value
			var finish func()
			o.Progress, finish = env.bar("convert")
			report, err := convert.Run(cmd.Context(), o)
			finish()
			if err != nil {
				return inFile(o.Path, err)
			}
			if verify && report.Written {
				v, err := env.verify(cmd.Context(), report.Out, verifyOptions{source: o.Path, configDir: o.ConfigDir})
				if err != nil {
					return err
				}
				env.note(v.String())
			}
			return env.reportConvert(report, asJSON)
		},
	}
	f := cmd.Flags()
	choice := func(value *string, flag, usage string) { f.Var(oneOf(value, convert.Choices[flag]...), flag, usage) }
	f.StringVarP(&o.Out, "output", "o", "", "GGUF `file` to write (NAME-TYPE.gguf in the working directory)")
	choice(&o.Format, "format", "gguf, or sglkernel: the .bin of WrinkleFree's engine, whose types are settled")
	choice(&o.Type, "outtype", "`type` of the matrices: f16, bf16, f32, q8_0, i2_s, tq1_0, tq2_0 or auto")
	choice(&o.TokenEmbedding, "token-embedding-type", "`type` of the token embedding (what --outtype implies)")
	choice(&o.OutputTensor, "output-tensor-type", "`type` of an untied output matrix (what --outtype implies)")
	f.StringArrayVar(&o.TensorTypes, "tensor-type", nil, "`REGEX=TYPE`: type of the matrices whose GGUF names match; repeatable, the first match decides")
	f.StringArrayVar(&o.OverrideKV, "override-kv", nil, "`KEY=TYPE:VALUE`: set a metadata entry (int, float, bool, str, or u8 to i64, f32, f64); repeatable")
	f.Var((*byteSize)(&o.SplitMaxSize), "split-max-size", "split the output into files of no more, such as 2G or 500M: NAME-00001-of-00003.gguf")
	f.StringVar(&o.Name, "name", "", "general.name (the checkpoint folder's name)")
	f.StringVar(&o.ConfigDir, "config-dir", "", "`folder` of config.json and the tokenizer, if not beside the weights")
	f.BoolVar(&o.DryRun, "dry-run", false, "print the plan (tensor, from, to, bytes, total), write nothing")
	f.BoolVar(&verify, "verify", false, "convert once more and compare with what was written, as wf verify --source does")
	f.BoolVar(&asJSON, "json", false, "print a JSON report")
	f.BoolVar(&o.Force, "force", false, "replace an existing output; accept a --mask-token-id that contradicts the checkpoint")
	f.BoolVar(&o.AllowSuspicious, "allow-suspicious", false, "let constant or all-zero matrices through; the file records them")
	f.BoolVar(&o.Ternarize, "ternarize", false, "treat float projections as BitNet master weights, whatever config.json says")
	f.BoolVar(&o.KeepMasterWeights, "keep-master-weights", false, "write master weights as they are; the file refuses ternary types later")
	choice(&o.ScaleRule, "scale-rule", "multiply or divide: how weight_scale of packed layers acts (quantization_config)")
	f.Var(&eps, "subln-eps", "epsilon of the norms before o_proj and down_proj (the checkpoint's)")
	choice(&o.HiddenActivation, "hidden-activation", "silu or relu2 (config.json's hidden_act)")
	choice(&o.PreTokenizer, "pre-tokenizer", "pre-tokenizer `name` (by the structure of tokenizer.json)")
	f.Var(&mask, "mask-token-id", "mask token id, or none for an autoregressive model (the checkpoint's)")
	choice(&o.Dialect, "dialect", "fast-dllm-v2 or wrinklefree (the checkpoint's)")
	f.IntVar(&o.BlockSize, "block-size", 0, "positions in a diffusion block (the checkpoint's, else 32)")
	f.IntVar(&o.SubBlockSize, "sub-block-size", 0, "positions in a sub-block (the checkpoint's, else 8)")
	f.Var(&threshold, "threshold", "default confidence to record in the file, 0 to 1")
	choice(&o.Mode, "decode-mode", "default mode to record in the file: iterative, greedy or adaptive")
	f.Var(&shift, "shift-logits", "whether logits[i-1] predict position i (true)")
	f.IntVarP(&o.Threads, "threads", "t", 0, "threads (0: every processor); the output does not depend on it")
	return cmd
}

func (env *environment) reportConvert(r *convert.Report, asJSON bool) error {
	if asJSON {
		return env.writeJSON(r)
	}
	if r.Written {
		return env.wrote(r.Out, r.Size)
	}
	w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	for _, t := range r.Tensors {
		fmt.Fprintf(w, "%s\t%v\t%s\t-> %s\t%d bytes\t%.4f bits/weight\t%s\t%s\n", t.Name, t.Dims, t.From, t.To, t.Bytes, t.BitsPerWeight, t.Source, t.How)
	}
	fmt.Fprintf(w, "total\t%d weights\t\t\t%d bytes\t%.4f bits/weight\t\t\n", r.Weights, r.Data, r.BitsPerWeight)
	fmt.Fprintf(w, "file\t\t\t\t%d bytes\t\t%s\t\n", r.Size, r.Out)
	return w.Flush()
}
