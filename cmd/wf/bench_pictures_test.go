package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPictures draws what docs/performance holds as tables of wf bench: the pictures and the tables of docs/performance.md. make pictures measures
// anew and runs this with -update.
func TestPictures(t *testing.T) {
	const dir = docs + "performance/"
	passes, _ := benchTables(t, dir+"roofline.csv")
	_, answers := benchTables(t, dir+"sweep.csv")
	page, err := os.ReadFile(docs + "performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{
		"performance/roofline.svg": drawRoofline(passes),
		"performance/sweep.svg":    drawSweep(answers),
		"performance.md": withTable(t, withTable(t, withTable(t, page, "roofline.csv", passTable(passes)), "goals of roofline.csv", goalTable(passes)),
			"sweep.csv", sweepTable(answers)),
	} {
		if *update {
			if err := os.WriteFile(docs+name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(docs + name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what its table says (%v): go test ./cmd/wf -run TestPictures -update", name, err)
		}
	}
}

// record is a row of a table, by column.
type record map[string]string

func (r record) number(column string) float64 {
	v, err := strconv.ParseFloat(r[column], 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// benchTables reads both tables of wf bench -o csv.
func benchTables(t *testing.T, path string) (passes, answers []record) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var tables [2][]record
	first, second, _ := strings.Cut(string(text), "\n\n")
	for i, table := range []string{first, second} {
		rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for n, row := range rows {
			if n == 0 {
				continue
			}
			r := record{}
			for c, v := range row {
				r[rows[0][c]] = v
			}
			tables[i] = append(tables[i], r)
		}
	}
	return tables[0], tables[1]
}

// withTable puts a table between the two comments that name its source.
func withTable(t *testing.T, page []byte, source, table string) []byte {
	t.Helper()
	begin, end := "<!-- "+source+" -->\n", "<!-- end of "+source+" -->"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/performance.md has no place for %s", source)
	}
	return []byte(before + begin + table + "\n" + end + after)
}

func passTable(rows []record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, kernel %s, %s threads.\n\n", rows[0]["model"], rows[0]["kernel"], rows[0]["n_threads"])
	b.WriteString("| test | ms | tokens/s | of the multiply-add peak | of the read bandwidth | cost | auto's cost |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		if r["n_tokens"] == "0" {
			fmt.Fprintf(&b, "| %s | %.1f | | | | | |\n", r["test"], r.number("median_ms"))
			continue
		}
		cost := " | "
		if r.number("cost") > 0 {
			cost = fmt.Sprintf("%.0f | %.0f", r.number("cost"), r.number("auto_cost"))
		}
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.0f %% | %.0f %% | %s |\n", r["test"], r.number("median_ms"), r.number("median_ts"), 100*r.number("of_peak"),
			100*r.number("of_read"), cost)
	}
	return b.String()
}

// goalTable holds goals that follow from the passes against what was reached.
func goalTable(rows []record) string {
	of := func(test, column string) float64 {
		i := slices.IndexFunc(rows, func(r record) bool { return r["test"] == test })
		if i < 0 {
			return math.NaN()
		}
		return rows[i].number(column)
	}
	ms := func(test string) float64 { return of(test, "median_ms") }
	var b strings.Builder
	b.WriteString("| goal | reached |\n| --- | ---: |\n")
	fmt.Fprintf(&b, "| tg: at least 90 %% of what the read bandwidth allows | %.0f %% |\n", 100*of("tg32", "of_read"))
	fmt.Fprintf(&b, "| head32: at most 20 %% of a block step | %.0f %% |\n", 100*ms("head32")/ms("step32"))
	fmt.Fprintf(&b, "| greedy decoding: more than 61 tokens/s | %.0f |\n", of("greedy32", "median_ts"))
	fmt.Fprintf(&b, "| a sub-block step: at most 0.45 of a block step | %.2f |\n", ms("step8")/ms("step32"))
	return b.String()
}

func sweepTable(rows []record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, kernel %s, %s threads, %s questions.\n\n", rows[0]["model"], rows[0]["kernel"], rows[0]["n_threads"], rows[0]["answers"])
	b.WriteString("| threshold | tokens/s | tokens a step | steps a block | block p50, p95, p99 ms | exact answers |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %.0f | %.2f | %.2f | %.1f, %.1f, %.1f | %.1f %% |\n", r["threshold"], r.number("tokens_per_second"), r.number("tokens_per_step"),
			r.number("steps_per_block"), r.number("block_p50_ms"), r.number("block_p95_ms"), r.number("block_p99_ms"), 100*r.number("exact"))
	}
	return b.String()
}

// plot is a picture with two axes. Its pixels are 640 by 400.
type plot struct {
	b            strings.Builder
	x0, x1       float64 // ends of the axes, in data
	y0, y1       float64
	logX, logY   bool
	title, below string
}

const (
	plotWidth, plotHeight                    = 640, 400
	plotLeft, plotRight, plotTop, plotBottom = 70, 20, 40, 60
)

func share(v, low, high float64, log bool) float64 {
	if log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return (v - low) / (high - low)
}

func (p *plot) at(x, y float64) (float64, float64) {
	return plotLeft + share(x, p.x0, p.x1, p.logX)*(plotWidth-plotLeft-plotRight), plotHeight - plotBottom - share(y, p.y0, p.y1, p.logY)*(plotHeight-plotTop-plotBottom)
}

func (p *plot) line(x0, y0, x1, y1 float64, style string) {
	a, b := p.at(x0, y0)
	c, d := p.at(x1, y1)
	fmt.Fprintf(&p.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", a, b, c, d, style)
}

// point has its label beside it, up pixels higher.
func (p *plot) point(x, y float64, label string, up float64) {
	a, b := p.at(x, y)
	fmt.Fprintf(&p.b, `<circle cx="%.1f" cy="%.1f" r="4" fill="#c33"/>`+"\n", a, b)
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" font-size="12">%s</text>`+"\n", a+7, b+4-up, label)
}

// svg closes the picture: ticks, names of the axes, title.
func (p *plot) svg(xTicks, yTicks []float64, xName, yName string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" fill="#222">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	body := p.b.String()
	p.b.Reset()
	for _, v := range xTicks {
		p.line(v, p.y0, v, p.y1, `stroke="#ddd"`)
		x, y := p.at(v, p.y0)
		fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" font-size="12" text-anchor="middle">%g</text>`+"\n", x, y+16, v)
	}
	for _, v := range yTicks {
		p.line(p.x0, v, p.x1, v, `stroke="#ddd"`)
		x, y := p.at(p.x0, v)
		fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" font-size="12" text-anchor="end">%g</text>`+"\n", x-6, y+4, v)
	}
	b.WriteString(p.b.String() + body)
	middle := (plotLeft + plotWidth - plotRight) / 2
	fmt.Fprintf(&b, `<text x="%d" y="22" font-size="15" text-anchor="middle">%s</text>`+"\n", middle, p.title)
	fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="13" text-anchor="middle">%s</text>`+"\n", middle, plotHeight-plotBottom+34, xName)
	fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="11" text-anchor="middle" fill="#666">%s</text>`+"\n", middle, plotHeight-8, p.below)
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" font-size="13" text-anchor="middle">%s</text>`+"\n</svg>\n", (plotTop+plotHeight-plotBottom)/2, yName)
	return b.Bytes()
}

// drawRoofline: what a test reaches under the two roofs of the machine, the read bandwidth and the multiply-add peak. A row's shares of both give its
// multiply-adds a byte.
func drawRoofline(rows []record) []byte {
	p := &plot{x0: 2, x1: 4096, y0: 10, y1: 1000, logX: true, logY: true, title: "Passes of " + rows[0]["model"] + " under the machine's roofs",
		below: fmt.Sprintf("kernel %s, %s threads", rows[0]["kernel"], rows[0]["n_threads"])}
	var peaks, reads []float64 // the limits changed from row to row, on a shared machine
	for _, r := range rows {
		if r.number("read_gbs") > 0 {
			peaks, reads = append(peaks, r.number("peak_gmacs")), append(reads, r.number("read_gbs"))
		}
	}
	peak, read := median(peaks), median(reads)
	const roof = `stroke="#36c" stroke-width="2"`
	p.line(max(p.x0, p.y0/read), max(p.y0, p.x0*read), peak/read, peak, roof)
	p.line(peak/read, peak, p.x1, peak, roof)
	for _, r := range rows {
		rate, bytes := r.number("of_peak")*r.number("peak_gmacs"), r.number("of_read")*r.number("read_gbs")
		if rate > 0 && bytes > 0 {
			up := -12.0
			if strings.HasPrefix(r["test"], "pp") {
				up = 10
			}
			p.point(rate/bytes, r.number("of_peak")*peak, r["test"], up)
		}
	}
	return p.svg([]float64{2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}, []float64{10, 20, 50, 100, 200, 500, 1000},
		"multiply-adds a byte of weights", "1e9 multiply-adds a second")
}

// drawSweep: speed against accuracy, a point for each threshold.
func drawSweep(rows []record) []byte {
	p := &plot{title: rows[0]["model"] + ": speed and accuracy by threshold",
		below: fmt.Sprintf("kernel %s, %s threads, %s questions", rows[0]["kernel"], rows[0]["n_threads"], rows[0]["answers"])}
	var xs, ys []float64
	for _, r := range rows {
		xs, ys = append(xs, r.number("tokens_per_second")), append(ys, 100*r.number("exact"))
	}
	xTicks, yTicks := ticks(xs), ticks(ys)
	p.x0, p.x1, p.y0, p.y1 = xTicks[0], xTicks[len(xTicks)-1], yTicks[0], yTicks[len(yTicks)-1]
	for i, r := range rows {
		if i > 0 {
			p.line(xs[i-1], ys[i-1], xs[i], ys[i], `stroke="#c33"`)
		}
		p.point(xs[i], ys[i], r["threshold"], float64(10-i%2*20))
	}
	return p.svg(xTicks, yTicks, "tokens a second", "exact answers, %")
}

// ticks are round numbers a step apart, from one below all values to one above.
func ticks(values []float64) (all []float64) {
	low, high := slices.Min(values), slices.Max(values)
	step := math.Pow(10, math.Floor(math.Log10(high-low)))
	if (high-low)/step < 3 {
		step /= 2
	}
	for v := (math.Floor(low/step) - 1) * step; v < high+step*2; v += step {
		all = append(all, v)
	}
	return all
}
