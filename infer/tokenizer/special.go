package tokenizer

import (
	"slices"
	"strconv"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// endTexts are the texts by which a file of another program may be found to have more ends than it names.
var endTexts = []string{"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>"}

// What llama.cpp takes where a vocabulary names none: of a gpt2 vocabulary Falcon's <|endoftext|> as bos and eos, of a llama one what
// SentencePiece trains.
const (
	defaultEnd     = 11
	defaultUnknown = 0
	defaultBOS     = 1
	defaultEOS     = 2
)

// readSpecials reads the special ids and finds the stop set.
func (t *Tokenizer) readSpecials(md *gguf.Metadata, warn func(string)) error {
	var eot, eom, other int32
	for _, special := range []struct {
		key string
		id  *int32
	}{
		{names.BOS, &t.bos}, {names.EOS, &t.eos}, {names.EOT, &eot}, {names.EOM, &eom}, {names.Unknown, &t.unknown},
		{names.Padding, &t.padding}, {names.MaskToken, &t.mask},
		{names.CLS, &other}, {names.Separator, &other}, {names.SeparatorSpelt, &other}, // checked, not used
	} {
		id, ok, err := gguf.Value[uint32](md, special.key)
		if err != nil {
			return err
		}
		*special.id = none
		if ok {
			if err := t.checkSpecial(special.key, id); err != nil {
				return err
			}
			*special.id = int32(id)
		}
	}
	if t.model == names.ModelSPM {
		for _, absent := range []struct {
			key string
			id  *int32
			is  int32
		}{{names.Unknown, &t.unknown, defaultUnknown}, {names.BOS, &t.bos, defaultBOS}, {names.EOS, &t.eos, defaultEOS}} {
			if *absent.id == none {
				if err := t.checkSpecial(absent.key, uint32(absent.is)); err != nil {
					return err
				}
				*absent.id = absent.is
			}
		}
	}
	if t.eos == none {
		if len(t.texts) <= defaultEnd {
			return fault.New("TOKENIZER_BAD_SPECIAL",
				"tokenizer: %s is missing and its default, %d, is not below the vocabulary's size, %d; convert the model again", names.EOS, defaultEnd, len(t.texts))
		}
		if t.kinds[defaultEnd] == names.TokenControl {
			t.eos = defaultEnd
		}
	}

	stop := []int32{t.eos, eot, eom}
	more, ok := md.Get(names.StopTokens)
	ids, isIDs := more.([]uint32)
	if ok && !isIDs {
		return fault.New("TOKENIZER_BAD_ARRAY", "tokenizer: %s is a %T, wanted %T; convert the model again", names.StopTokens, more, ids)
	}
	for _, id := range ids {
		if err := t.checkSpecial(names.StopTokens, id); err != nil {
			return err
		}
		stop = append(stop, int32(id))
	}
	if !md.Has(names.Version) {
		for _, text := range endTexts {
			if id, ok := t.ids[text]; ok && id != t.padding {
				stop = append(stop, id)
			}
		}
	}
	slices.Sort(stop)
	stop = slices.Compact(stop)
	stop = slices.DeleteFunc(stop, func(id int32) bool { return id == none })
	if at, ok := slices.BinarySearch(stop, t.mask); ok {
		warn("tokenizer: the mask token " + strconv.Itoa(int(t.mask)) + " is also named as an end of text; it does not stop a generation")
		stop = slices.Delete(stop, at, at+1)
	}
	if len(stop) == 0 {
		warn("tokenizer: the file names no token that ends a text; generation ends at the token limit")
	}
	t.stop = stop

	// A converter may have typed a special token as text. Nobody may end a turn by writing about its end.
	for _, id := range append([]int32{t.bos}, stop...) {
		if id != none && !slices.Contains(t.byteIDs[:], id) {
			t.kinds[id] = names.TokenControl
		}
	}
	return nil
}

func (t *Tokenizer) checkSpecial(key string, id uint32) error {
	if uint64(id) >= uint64(len(t.texts)) {
		return fault.New("TOKENIZER_BAD_SPECIAL", "tokenizer: %s is %d; the vocabulary has ids 0 to %d; convert the model again", key, id, len(t.texts)-1)
	}
	return nil
}
