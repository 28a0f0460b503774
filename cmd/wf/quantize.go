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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "quantize IN.gguf [OUT.gguf] TYPE",
		Short: "Rewrite a GGUF file in another type",
		Long: `Rewrite a GGUF file in another type: I2_S packs the ternary layers into two bits a weight and loses nothing.

What would destroy a model is refused: a ternary type for weights that are not ternary, TQ2_0 for a diffusion model, and quantising what is
quantised already (unless --allow-requantize).`,
		Example: `  wf quantize model-F16.gguf I2_S                  # writes model-I2_S.gguf
  wf quantize model-F16.gguf small.gguf I2_S --token-embedding-type q8_0`,
		Args: positional(cobra.RangeArgs(2, 3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[len(args)-1]
			var ok bool
			if o.Type, ok = gguf.ParseType(name); !ok {
				return usagef("type %q is unknown; wanted one of %s", name, strings.Join(gguf.TypeNames(), ", "))
			}
			o.In = args[0]
			if o.Out = typedName(o.In, o.Type.String()); len(args) == 3 {
				o.Out = args[1]
			}
			o.TokenEmbedding, o.HasTokenEmbedding = embedding.value, embedding.given
			o.OutputTensor, o.HasOutputTensor = output.value, output.given
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
	f.BoolVar(&o.AllowRequantize, "allow-requantize", false, "accept an input that is quantised already")
	f.BoolVar(&o.Force, "force", false, "replace an existing output")
	f.BoolVar(&o.DryRun, "dry-run", false, "print what would be written, write nothing")
	f.BoolVar(&asJSON, "json", false, "print a JSON report")
	f.StringVar(&o.I2SLayout, "i2s-layout", "", "layout of I2_S tensors in an input that wf did not write: 128 or 64 (128)")
	return cmd
}

func (env *environment) reportQuantize(r *quant.Report, dry, asJSON bool) error {
	if asJSON {
		return env.writeJSON(r)
	}
	if dry {
		w := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
		for _, c := range r.Tensors {
			fmt.Fprintf(w, "%s\t%v\t%v\t-> %v\t%d bytes\n", c.Name, c.Dims, c.From, c.To, c.Bytes)
		}
		fmt.Fprintf(w, "total\t\t\t\t%d bytes\n", r.Size)
		return w.Flush()
	}
	return env.wrote(r.Out, r.Size)
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
