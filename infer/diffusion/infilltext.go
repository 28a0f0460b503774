package diffusion

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer"
)

// ReadInfill reads a text with holes, sets Infill and Shown, and returns the prompt:
//
//	[[3]]   three positions
//	[[ ]]   the rest of the block that it stands in; a whole block where it begins one
//	[[[[    two brackets that are text
//
// A space before a hole belongs to it, as tokens have theirs in front: what "The capital of [[1]] is" leaves open is " France". before are the ids
// that come first, such as a chat template with a question. encode returns the ids of the parts of a text that holes lie between; it gets at least two.
// BlockSize and Context must have been set.
//
// Errors: BAD_INFILL, CONTEXT_LENGTH_EXCEEDED, INFILL_UNSUPPORTED, and unusable options.
func (o *Options) ReadInfill(c *infer.Config, before []int32, text string, encode func(parts []string) [][]int32) (prompt []int32, err error) {
	one := *o
	one.Infill = []int32{Masked}
	s, err := one.resolve(c)
	if err != nil {
		return nil, err
	}
	parts, holes, err := cutHoles(text, s.Context)
	if err != nil {
		return nil, err
	}
	ids := encode(parts)
	prompt = slices.Concat(before, ids[0])
	if len(prompt) == 0 {
		return nil, fault.New("BAD_INFILL", "the text begins with a hole: nothing predicts a first token; put text or a prompt before it")
	}
	var infill []int32
	for i, n := range holes {
		at := len(prompt) + len(infill)
		if n == restOfBlock {
			n = s.BlockSize - at%s.BlockSize
		}
		if err := fits(at+n, s.Context); err != nil {
			return nil, err
		}
		for range n {
			infill = append(infill, Masked)
		}
		infill = append(infill, ids[i+1]...)
	}
	o.Infill, o.Shown = infill, parts[0]
	return prompt, fits(len(prompt)+len(infill), s.Context)
}

const (
	holeBegins  = "[["
	holeEnds    = "]]"
	restOfBlock = 0
)

// cutHoles returns the parts of a text between its holes, one more than there are holes, and the holes' lengths, together at most so many positions.
func cutHoles(text string, most int) (parts []string, holes []int, err error) {
	var part strings.Builder
	positions := 0 // that the holes have at least
	for rest := text; ; {
		literal, after, found := strings.Cut(rest, holeBegins)
		part.WriteString(literal)
		switch {
		case !found:
			if holes == nil {
				return nil, nil, fault.New("BAD_INFILL", "the text has no hole; [[3]] stands for three tokens, [[ ]] for the rest of a block")
			}
			return append(parts, part.String()), holes, nil
		case strings.HasPrefix(after, holeBegins):
			part.WriteString(holeBegins)
			rest = after[len(holeBegins):]
			continue
		case strings.HasPrefix(after, "["): // of three brackets the last two begin the hole
			part.WriteString("[")
			after = after[1:]
		}
		inside, after, closed := strings.Cut(after, holeEnds)
		n, err := strconv.Atoi(inside)
		switch {
		case !closed:
			return nil, nil, fault.New("BAD_INFILL", "hole %d, %s, has no end; wanted ]], or [[[[ for two brackets", len(holes)+1, fault.Quote(holeBegins+inside))
		case inside == " ":
			n = restOfBlock
		case err != nil || n < 1 || n > most || inside != strconv.Itoa(n):
			return nil, nil, fault.New("BAD_INFILL", "hole %d, %s: wanted [[1]] to [[%d]], [[ ]] for the rest of a block, or [[[[ for two brackets",
				len(holes)+1, fault.Quote(holeBegins+inside+holeEnds), most)
		}
		if positions += max(n, 1); positions > most {
			return nil, nil, fits(positions, most)
		}
		parts, holes = append(parts, strings.TrimSuffix(part.String(), " ")), append(holes, n)
		part.Reset()
		rest = after
	}
}
