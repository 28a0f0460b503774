package main

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/quant"
)

func newQuantizeCmd(env *environment) *cobra.Command {
	var o quant.Options
	var embedding, output tensorType
	var tensorTypes []string
	var printRules, asJSON bool
	cmd := &cobra.Command{
		Use:   "quantize IN.gguf [OUT.gguf] TYPE | --print-rules TYPE",
		Short: "Rewrite a GGUF file in another type",
		Long: `Rewrite a GGUF file in another type: I2_S packs the ternary layers into two bits a weight and loses nothing.

What would destroy a model is refused: a ternary type for weights that are not ternary, TQ2_0 for a diffusion model, and quantising what is
quantised already (unless --allow-requantize).

Which tensor gets which type: norms and vectors F32; then what --token-embedding-type and --output-tensor-type say; then the first --tensor-type
whose pattern (Go's regular expressions) is found in the tensor's name; then TYPE, or F16 for embedding and head where TYPE is ternary.
--print-rules prints the table that the other flags make, and reads no file; --dry-run prints every tensor of one.`,
		Example: `  wf quantize model-F16.gguf I2_S                  # writes model-I2_S.gguf
  wf quantize model-F16.gguf small.gguf I2_S --token-embedding-type q6_k
  wf quantize model-F16.gguf TQ1_0 --tensor-type 'blk\.0\.=f16'   # the first layer stays F16
  wf quantize --print-rules Q8_0 --tensor-type 'ffn_down=f16'`,
		Args: positional(func(cmd *cobra.Command, args []string) error {
			if printRules {
				return cobra.ExactArgs(1)(cmd, args)
			}
			return cobra.RangeArgs(2, 3)(cmd, args)
		}),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 && !printRules {
				return filesEnding(modelFiles...)(cmd, args, typed)
			}
			return gguf.TypeNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[len(args)-1]
			var ok bool
			if o.Type, ok = gguf.ParseType(name); !ok {
				return usagef("type %q is unknown; wanted %s%s", name, either(gguf.TypeNames()), didYouMean("", name, gguf.TypeNames()))
			}
			var err error
			if o.Rules, err = quant.ParseRules(tensorTypes); err != nil {
				return err
			}
			o.TokenEmbedding, o.HasTokenEmbedding = embedding.value, embedding.given
			o.OutputTensor, o.HasOutputTensor = output.value, output.given
			if printRules {
				return env.printRules(o.Types, asJSON)
			}
			o.In = args[0]
			if o.Out = typedName(o.In, o.Type.String()); len(args) == 3 {
				o.Out = args[1]
			}
			o.Version, o.Warn = version, env.warn
			var finish func()
			o.Progress, finish = env.bar("quantize")
			report, err := quant.Run(cmd.Context(), o)
			finish()
			if err != nil {
				return inFile(o.In, err)
			}
			return env.reportQuantize(report, o.DryRun, asJSON)
		},
	}
	f := cmd.Flags()
	f.Var(&embedding, "token-embedding-type", "type of the token embedding (f16 for ternary types)")
	f.Var(&output, "output-tensor-type", "type of an untied output matrix (as the embedding)")
	f.StringArrayVar(&tensorTypes, "tensor-type", nil, "`REGEX=TYPE`: type of the matrices whose names match; repeatable, the first match decides")
	f.StringArrayVar(&o.OverrideKV, "override-kv", nil, "`KEY=TYPE:VALUE`: set a metadata entry (int, float, bool, str, or u8 to i64, f32, f64); repeatable")
	f.Var((*byteSize)(&o.SplitMaxSize), "split-max-size", "split the output into files of no more, such as 2G or 500M: NAME-00001-of-00003.gguf")
	f.BoolVar(&printRules, "print-rules", false, "print which tensors get which type, first match first, and stop")
	f.BoolVar(&o.AllowRequantize, "allow-requantize", false, "accept an input that is quantised already")
	f.BoolVar(&o.Force, "force", false, "replace an existing output")
	f.BoolVar(&o.DryRun, "dry-run", false, "print every tensor with bytes and bits per weight, write nothing")
	f.BoolVar(&asJSON, "json", false, "print a JSON report")
	bindLayout(f, &o.I2SLayout)
	return cmd
}

func (env *environment) reportQuantize(r *quant.Report, dry, asJSON bool) error {
	if asJSON {
		return env.writeJSON(r)
	}
	if dry {
		w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
		for _, c := range r.Tensors {
			fmt.Fprintf(w, "%s\t%v\t%v\t-> %v\t%d bytes\t%.4f bits/weight\n", c.Name, c.Dims, c.From, c.To, c.Bytes, c.BitsPerWeight)
		}
		fmt.Fprintf(w, "total\t%d weights\t\t\t%d bytes\t%.4f bits/weight\n", r.Weights, r.Data, r.BitsPerWeight)
		fmt.Fprintf(w, "file\t\t\t\t%d bytes\t%s\n", r.Size, r.Out)
		return w.Flush()
	}
	return env.wrote(r.Out, r.Size)
}

// printRules prints the table of types, first match first.
func (env *environment) printRules(types quant.Types, asJSON bool) error {
	type row struct {
		Tensors string `json:"tensors"`
		Type    string `json:"type"`
		Why     string `json:"why"`
	}
	var rows []row
	w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	for _, r := range types.Table() {
		rows = append(rows, row{r.Tensors, r.Type.String(), r.Why})
		fmt.Fprintf(w, "%s\t%v\t%s\n", oneLine(r.Tensors), r.Type, r.Why)
	}
	if asJSON {
		return env.writeJSON(rows)
	}
	return w.Flush()
}

// wrote says on stdout what a command made, so that a script can read the name.
func (env *environment) wrote(path string, size uint64) error {
	env.note(fmt.Sprintf("wrote %s", bytesText(size)))
	_, err := io.WriteString(env.stdout, path+"\n")
	return err
}

var typeSuffix = regexp.MustCompile(`(?i)[-_.](` + strings.Join(gguf.TypeNames(), "|") + `)$`)

// typedName is the default output: the input's name with its type replaced, in the working directory.
func typedName(in, typ string) string {
	name := strings.TrimSuffix(filepath.Base(filepath.Clean(in)), ".gguf")
	return typeSuffix.ReplaceAllString(name, "") + "-" + typ + ".gguf"
}
