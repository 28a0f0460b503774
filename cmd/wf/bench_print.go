package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// benchReport is everything that was measured, in order.
type benchReport struct {
	Passes  []passRow
	Answers []answerRow
}

// rows lists both kinds, for JSON.
func (r *benchReport) rows() []any {
	all := []any{}
	for _, p := range r.Passes {
		all = append(all, p)
	}
	for _, a := range r.Answers {
		all = append(all, a)
	}
	return all
}

// print writes the report. csv and md have a table for each kind of row, with an empty line between them.
func (r *benchReport) print(w io.Writer, format string) error {
	e := json.NewEncoder(w)
	switch format {
	case "json":
		e.SetIndent("", "  ")
		return e.Encode(r.rows())
	case "jsonl":
		for _, row := range r.rows() {
			if err := e.Encode(row); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		return r.csv(w)
	}
	return r.markdown(w)
}

func (r *benchReport) csv(w io.Writer) error {
	c := csv.NewWriter(w)
	c.Write(passColumns)
	for _, p := range r.Passes {
		c.Write(append(p.fields(), strconv.Itoa(p.Depth), strconv.Itoa(p.Tokens), exact(p.MedianMS), exact(p.MedianTS), exact(p.MeanTS), exact(p.StddevTS),
			exact(p.OfPeak), exact(p.OfRead), exact(p.PeakGMACs), exact(p.ReadGBs), exact(p.Cost), exact(p.AutoCost)))
	}
	if len(r.Answers) > 0 {
		c.Flush()
		io.WriteString(w, "\n")
		c.Write(answerColumns)
	}
	for _, a := range r.Answers {
		c.Write(append(a.fields(), a.threshold(""), strconv.Itoa(a.Answers), strconv.Itoa(a.Tokens), exact(a.TokensPerS), exact(a.TokensPerStep),
			exact(a.StepsPerBlock), exact(a.FirstBlockMS), exact(a.BlockP50), exact(a.BlockP95), exact(a.BlockP99), a.exactly("")))
	}
	c.Flush()
	return c.Error()
}

// The columns are the JSON names.
var (
	subjectColumns = []string{"model", "model_size", "model_n_params", "kernel", "n_threads", "test"}
	passColumns    = append(subjectColumns[:6:6], "n_depth", "n_tokens", "median_ms", "median_ts", "avg_ts", "stddev_ts", "of_peak", "of_read", "peak_gmacs",
		"read_gbs", "cost", "auto_cost")
	answerColumns = append(subjectColumns[:6:6], "threshold", "answers", "n_tokens", "tokens_per_second", "tokens_per_step", "steps_per_block",
		"first_block_ms", "block_p50_ms", "block_p95_ms", "block_p99_ms", "exact")
)

func exact(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func (a *answerRow) threshold(none string) string {
	if a.Threshold == nil {
		return none
	}
	return strconv.FormatFloat(float64(*a.Threshold), 'g', -1, 32)
}

func (a *answerRow) exactly(none string) string {
	if a.Exact == nil {
		return none
	}
	return exact(*a.Exact)
}

func (r *benchReport) markdown(w io.Writer) error {
	var b strings.Builder
	machine := slices.ContainsFunc(r.Passes, func(p passRow) bool { return p.ReadGBs > 0 })
	costs := slices.ContainsFunc(r.Passes, func(p passRow) bool { return p.Cost > 0 })
	header := []string{"model", "size", "params", "kernel", "threads", "test", "ms", "t/s", "mean t/s"}
	if machine {
		header = append(header, "of peak", "of read")
	}
	if costs {
		header = append(header, "cost", "auto's cost")
	}
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	rule := func(left, columns int) {
		b.WriteString("|" + strings.Repeat(" --- |", left) + strings.Repeat(" ---: |", columns-left) + "\n")
	}
	subjectCells := func(s subject) []string {
		return []string{s.Model, bytesText(s.Size), fmt.Sprintf("%.2f M", float64(s.Params)/1e6), s.Kernel, strconv.Itoa(s.Threads), s.Test}
	}
	if len(r.Passes) > 0 {
		line(header...)
		rule(6, len(header))
	}
	for _, p := range r.Passes {
		cells := append(subjectCells(p.subject), fmt.Sprintf("%.2f", p.MedianMS), "-", "-")
		if p.Tokens > 0 {
			cells = append(cells[:len(cells)-2], fmt.Sprintf("%.2f", p.MedianTS), fmt.Sprintf("%.2f ± %.2f", p.MeanTS, p.StddevTS))
		}
		if machine {
			cells = append(cells, fmt.Sprintf("%.0f %%", 100*p.OfPeak), fmt.Sprintf("%.0f %%", 100*p.OfRead))
		}
		switch {
		case p.Cost > 0:
			cells = append(cells, fmt.Sprintf("%.0f", p.Cost), fmt.Sprintf("%.0f", p.AutoCost))
		case costs:
			cells = append(cells, "-", "-")
		}
		line(cells...)
	}
	if len(r.Answers) > 0 {
		b.WriteString("\n")
		header := []string{"model", "kernel", "threads", "threshold", "answers", "tokens", "t/s", "t/step", "steps/block", "first block ms", "p50 ms", "p95 ms",
			"p99 ms", "exact"}
		line(header...)
		rule(3, len(header))
	}
	for i := range r.Answers {
		a := &r.Answers[i]
		right := a.exactly("-")
		if a.Exact != nil {
			right = fmt.Sprintf("%.1f %%", 100**a.Exact)
		}
		line(a.Model, a.Kernel, strconv.Itoa(a.Threads), a.threshold("the model's"), strconv.Itoa(a.Answers), strconv.Itoa(a.Tokens),
			fmt.Sprintf("%.1f", a.TokensPerS), fmt.Sprintf("%.2f", a.TokensPerStep), fmt.Sprintf("%.2f", a.StepsPerBlock), fmt.Sprintf("%.2f", a.FirstBlockMS),
			fmt.Sprintf("%.2f", a.BlockP50), fmt.Sprintf("%.2f", a.BlockP95), fmt.Sprintf("%.2f", a.BlockP99), right)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
