package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
)

// A screen, as R166 has it.
const (
	screenLines   = 24
	screenColumns = 80
	labelColumns  = 12
)

// printInspection prints everything, or what fits a screen: what concerns the whole file, then as many tensors as there is room for.
func (env *environment) printInspection(v *inspection, full bool) error {
	columns := 0
	if !full {
		columns = screenColumns
	}
	lines := v.facts(columns)
	if full {
		for _, m := range v.Metadata {
			lines = append(lines, fmt.Sprintf("%-42s %-12s %s", oneLine(m.Key), m.Type, m.Value))
		}
		lines = append(lines, table(v.planRows())...)
	}
	notes := v.noteLines(columns)
	const most = 4
	if !full && len(notes) > most {
		notes = append(notes[:most-1], "... more notes: --full prints them")
	}
	lines = append(append(lines, table(v.typeRows())...), notes...)
	tensors := table(v.tensorRows())
	if room := screenLines - len(lines); !full && len(tensors) > room {
		shown := max(0, room-1)
		more := fmt.Sprintf("... %d tensors more: --full prints them", len(tensors)-max(1, shown))
		tensors = append(tensors[:shown], more)
	}
	lines = append(lines, tensors...)
	_, err := fmt.Fprintln(env.stdout, strings.Join(lines, "\n"))
	return err
}

// facts are the lines about the whole file, wrapped to a number of columns (0: not).
func (v *inspection) facts(columns int) []string {
	size := bytesText(v.Size)
	if n := len(v.Sources); n > 1 {
		size += fmt.Sprintf(" in %d files", n)
	}
	lines := wrap("", fmt.Sprintf("%s: %s, %s, %d tensors", oneLine(v.File), v.Format, size, len(v.Tensors)), columns)
	add := func(label, text string) { lines = append(lines, wrap(label, text, columns)...) }
	if len(v.Problems) > 0 && v.Trusted > 0 {
		add("DAMAGED", fmt.Sprintf("only the first %d bytes can be trusted, and what follows here comes from them", v.Trusted))
	}
	if v.Plan != nil {
		add("converts", v.Plan.String())
	}
	if v.Model != nil {
		add("model", v.Model.String())
	}
	if v.Tokenizer != nil {
		add("tokenizer", v.Tokenizer.String())
		if sum := v.Tokenizer.ChatTemplate; sum != "" {
			add("chat sha256", sum) // of the chat template
		}
	}
	if v.Diffusion != nil {
		add("diffusion", v.Diffusion.String())
	}
	if v.Ternary != nil {
		add("ternary", v.Ternary.String())
	}
	if v.Memory != nil {
		add("memory", v.Memory.String())
	}
	if v.Receipt != nil {
		add("made by", v.Receipt.String())
	}
	return lines
}

// noteLines are what a person should know, damage first.
func (v *inspection) noteLines(columns int) (lines []string) {
	for _, p := range v.Problems {
		lines = append(lines, wrap("PROBLEM", fmt.Sprintf("%s [%s]", oneLine(p.Text), p.Code), columns)...)
	}
	for _, n := range v.Notes {
		lines = append(lines, cut(fmt.Sprintf("%-*s%s", labelColumns, "note", oneLine(n)), columns))
	}
	return lines
}

func (v *inspection) typeRows() [][]string {
	var rows [][]string
	for _, t := range v.Types {
		rows = append(rows, []string{fmt.Sprintf("%-*s%s", labelColumns, "total", t.Type), fmt.Sprintf("%d tensors", t.Tensors), bytesText(t.Bytes),
			fmt.Sprintf("%.4g bits/weight", t.BitsPerWeight)})
	}
	return rows
}

// tensorRows lists tensors behind a heading, those with a problem first.
func (v *inspection) tensorRows() [][]string {
	var bad, good [][]string
	heading := []string{"tensor", "type", "dims", "bits"}
	for _, t := range v.Tensors {
		row := []string{oneLine(t.Name), t.Type, fmt.Sprint(t.Dims), fmt.Sprintf("%.4g", t.BitsPerWeight)}
		switch {
		case t.Problem != "":
			bad = append(bad, append(row, t.Problem))
			continue
		case t.Ternary != nil:
			row = append(row, fmt.Sprintf("%.6g", t.Ternary.Scale), t.Ternary.Percent())
			heading = append(heading[:4], "scale", "-1/0/+1 %")
		}
		good = append(good, row)
	}
	if len(v.Tensors) == 0 {
		return nil
	}
	return append(append([][]string{heading}, bad...), good...)
}

// planRows lists what becomes of a checkpoint's tensors.
func (v *inspection) planRows() (rows [][]string) {
	if v.Plan == nil {
		return nil
	}
	for _, t := range v.Plan.Tensors {
		row := []string{oneLine(t.Source), t.From, "becomes", t.Name, t.To, t.How}
		if t.Ternary != nil {
			row = append(row, t.Ternary.Percent())
		}
		rows = append(rows, row)
	}
	for _, dropped := range v.Plan.Dropped {
		rows = append(rows, []string{oneLine(dropped)})
	}
	return rows
}

// table aligns columns.
func table(rows [][]string) []string {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len(cell))
		}
	}
	var lines []string
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s  ", width[i], cell)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// wrap puts a label before text and breaks it at spaces, so that no line has more than so many columns (0: no limit) unless a word has.
func wrap(label, text string, columns int) []string {
	indent := ""
	if label != "" {
		label, indent = fmt.Sprintf("%-*s", labelColumns, label), strings.Repeat(" ", labelColumns)
	}
	line := label
	var lines []string
	for i, word := range strings.Split(text, " ") {
		if columns > 0 && i > 0 && len(line)+1+len(word) > columns {
			lines, line = append(lines, line), indent
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// cut shortens a line to so many columns (0: not).
func cut(line string, columns int) string {
	if columns > 0 && len(line) > columns {
		return strings.ToValidUTF8(line[:columns-3], "") + "..."
	}
	return line
}

func valueType(v any) string {
	if t := reflect.TypeOf(v); t.Kind() == reflect.Slice {
		return fmt.Sprintf("%s[%d]", t.Elem().Kind(), reflect.ValueOf(v).Len())
	}
	return reflect.TypeOf(v).Kind().String()
}

// valueText shows a value; of an array the first few.
func valueText(kv gguf.KV) string {
	v := reflect.ValueOf(kv.Value)
	if s, ok := kv.Value.(string); ok {
		return fmt.Sprintf("%+q", s)
	}
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(kv.Value)
	}
	const most = 16
	n, more := v.Len(), ""
	if n > most {
		n, more = most, " ..."
	}
	parts := make([]string, n)
	for i := range parts {
		if parts[i] = fmt.Sprint(v.Index(i)); v.Index(i).Kind() == reflect.String {
			parts[i] = fault.Quote(v.Index(i).String())
		}
	}
	return "[" + strings.Join(parts, " ") + more + "]"
}
