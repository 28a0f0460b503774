package diffusion

import (
	"cmp"
	"fmt"
	"slices"
)

// Mode auto, in dialect fast-dllm-v2: which sub-block width and whether the sub-block cache make most of a request's tokens for the money. What a
// pass costs says a table, how many tokens it brings the request's own blocks have said: each choice decodes one block, and from then on every
// block takes the choice with the most tokens for its cost so far. No clock, load or neighbour has a say, so the same request gives the same ids.

// cost is what a number of rows costs.
type cost struct{ rows, cost int }

// What a pass costs by its rows, and besides by the rows whose logits are wanted, in thousandths of a pass of 32 rows without logits. Measured on
// the shape of BitNet-2B-4T with a head of Q8_0 on AVX2, two threads; wf bench --synthetic bitnet-2b prints a machine's own beside it.
var (
	rowCosts   = []cost{{0, 0}, {1, 85}, {4, 125}, {8, 245}, {16, 498}, {32, 1000}}
	logitCosts = []cost{{0, 0}, {1, 65}, {4, 130}, {8, 140}, {16, 236}, {32, 445}}
)

// PassCost is the table's cost of a pass.
func PassCost(rows, logits int) float64 { return lookUp(rowCosts, rows) + lookUp(logitCosts, logits) }

// lookUp draws straight lines between the entries, and on behind the last.
func lookUp(table []cost, rows int) float64 {
	i := min(max(slices.IndexFunc(table, func(c cost) bool { return c.rows >= rows }), 1), len(table)-1)
	if rows > table[len(table)-1].rows {
		i = len(table) - 1
	}
	a, b := table[i-1], table[i]
	return float64(a.cost) + float64(float64(b.cost-a.cost)*float64(rows-a.rows))/float64(b.rows-a.rows)
}

// Choice is a way to decode a block, and what came of it.
type Choice struct {
	SubBlockSize  int     `json:"sub_block_size"`
	SubBlockCache bool    `json:"sub_block_cache"`
	Blocks        int     `json:"blocks"`
	Tokens        int     `json:"tokens"`
	Cost          float64 `json:"cost"` // of PassCost
}

// rate is tokens for their cost.
func (c Choice) rate() float64 { return float64(c.Tokens) / max(c.Cost, 1) }

func (c Choice) String() string {
	cache := "without"
	if c.SubBlockCache {
		cache = "with"
	}
	return fmt.Sprintf("sub-blocks of %d %s cache", c.SubBlockSize, cache)
}

// Auto is what mode auto has tried and chosen.
type Auto struct {
	Choices []Choice `json:"choices"` // the first is what an ordinary mode would have done
	Chosen  int      `json:"chosen"`  // index of the one in use
}

// String says what was chosen, and why.
func (a *Auto) String() string {
	why := func(i int) string {
		c := a.Choices[i]
		return fmt.Sprintf("%v: %.2f tokens for the cost of a pass of 32 rows", c, 1000*c.rate())
	}
	text := why(a.Chosen)
	for i, c := range a.Choices {
		if i != a.Chosen && c.Blocks > 0 {
			text += "; " + why(i)
		}
	}
	return text
}

// newAuto lists the choices: sub-blocks as asked for and each double of it that divides the block, with and without the cache. A sub-block as
// large as the block has no use for a cache.
func newAuto(block, sub int, cache bool) *Auto {
	a := &Auto{}
	for width := sub; width < block && block%width == 0; width *= 2 {
		a.Choices = append(a.Choices, Choice{SubBlockSize: width, SubBlockCache: cache}, Choice{SubBlockSize: width, SubBlockCache: !cache})
	}
	a.Choices = append(a.Choices, Choice{SubBlockSize: block})
	return a
}

// next chooses for a new block.
func (a *Auto) next() Choice {
	a.Chosen = slices.IndexFunc(a.Choices, func(c Choice) bool { return c.Blocks == 0 })
	if a.Chosen < 0 {
		best := slices.MaxFunc(a.Choices, func(b, c Choice) int { return cmp.Compare(b.rate(), c.rate()) })
		a.Chosen = slices.Index(a.Choices, best)
	}
	a.Choices[a.Chosen].Blocks++
	return a.Choices[a.Chosen]
}

// count adds a pass and the tokens that it brought.
func (a *Auto) count(rows, logits, tokens int) {
	c := &a.Choices[a.Chosen]
	c.Tokens += tokens
	c.Cost += PassCost(rows, logits)
}

// clone is what a Result keeps while the decoder goes on.
func (a *Auto) clone() *Auto {
	if a == nil {
		return nil
	}
	return &Auto{slices.Clone(a.Choices), a.Chosen}
}
