package convert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/gguf/names"
)

// maxMerges bounds model.merges; the largest published list has 514 906.
const maxMerges = 600_000

// Tokenizer is a vocabulary: tokenizer.json or tokenizer.model, with what tokenizer_config.json and the chat template files add.
type Tokenizer struct {
	Model  string   // names.ModelBPE or names.ModelSPM
	Tokens []Token  // by id; an id that no token has is a Token without Text
	Merges []string // "left right", highest rank first; of tokenizer.json
	Pre    string   // tokenizer.ggml.pre, as the structure of tokenizer.json says; "" if it says nothing known
	PreErr error    // why Pre is ""

	Special   map[string]string // text of bos, eos, unk, sep, pad, cls (tokenizer_config.json)
	MaskText  string            // mask_token of tokenizer_config.json, which decides nothing
	AddBOS    *bool             // nil: not stated
	AddEOS    *bool
	AddSpace  *bool
	First     string // special token that the post-processor puts before every text, or ""
	Last      string // and behind it
	Templates []ChatTemplate
	Notices   []string
}

// Token is one entry of the vocabulary.
type Token struct {
	Text  string  // an ordinary token in the byte-level alphabet (FORMATS.md 7.5) or, of names.ModelSPM, with U+2581 for spaces; an added one as plain text
	Kind  int32   // names.TokenNormal, ...
	Score float32 // of names.ModelSPM: of two pairs of neighbours the one whose token has the higher score is joined first
	Added bool
}

func (t *Tokenizer) note(format string, args ...any) {
	t.Notices = append(t.Notices, fmt.Sprintf(format, args...))
}

// ChatTemplate is a Jinja template; the one used unless another is asked for is named "default".
type ChatTemplate struct{ Name, Text string }

// id finds a token by its text.
func (t *Tokenizer) id(text string) (int32, bool) {
	i := slices.IndexFunc(t.Tokens, func(k Token) bool { return k.Text == text && text != "" })
	return int32(i), i >= 0
}

// token returns a token, or the padding that stands for an id without one.
func (t *Tokenizer) token(id int) (text string, kind int32) {
	if id < len(t.Tokens) && t.Tokens[id].Text != "" {
		return t.Tokens[id].Text, t.Tokens[id].Kind
	}
	return "[PAD" + strconv.Itoa(id) + "]", names.TokenUnused
}

// ParseTokenizer reads tokenizer.json.
func ParseTokenizer(data []byte) (*Tokenizer, error) {
	d, err := newDocument("tokenizer.json", data, "TOKENIZER")
	if err != nil {
		return nil, err
	}
	r := tokenizerReader{document: d, ids: map[string]int32{}}
	err = d.Object(func(key string) (err error) {
		switch key {
		case "model":
			return d.Object(r.model)
		case "added_tokens":
			return d.Array(r.addedToken)
		case "normalizer":
			r.normalizer, err = d.Value()
		case "pre_tokenizer":
			r.preTokenizer, err = d.Value()
		case "post_processor":
			r.postProcessor, err = d.Value()
		default:
			err = d.Skip()
		}
		return err
	})
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return nil, err
	}
	return r.tokenizer()
}

// tokenizerReader collects the parts of tokenizer.json, which come in any order.
type tokenizerReader struct {
	*document
	kind, unsupported                       string
	ids                                     map[string]int32 // model.vocab
	merges                                  []string
	added                                   []addedToken
	ignoreMerges, byteFallback              bool
	normalizer, preTokenizer, postProcessor any
}

type addedToken struct {
	id      int32
	content string
	special bool
}

func (r *tokenizerReader) model(key string) error {
	switch key {
	case "vocab":
		return r.Object(func(text string) error {
			id, err := r.tokenID(text)
			r.ids[text] = id
			return err
		})
	case "merges":
		return r.Array(r.merge)
	}
	v, err := r.Value()
	switch {
	case err != nil:
		return err
	case key == "type":
		r.kind, _ = v.(string)
	case key == "ignore_merges":
		r.ignoreMerges, _ = v.(bool)
	case key == "byte_fallback":
		r.byteFallback = v == true
	case (key == "continuing_subword_prefix" || key == "end_of_word_suffix") && v != nil && v != "":
		r.unsupported = key
	}
	return nil
}

// tokenID reads the id of a token of model.vocab.
func (r *tokenizerReader) tokenID(text string) (int32, error) {
	t, err := r.Next()
	if err != nil {
		return 0, err
	}
	n, _ := t.(json.Number)
	id, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil || id < 0 || id >= maxTokens {
		return 0, r.fail("_BAD_ID", "token %s has id %s; want a number from 0 to %d", fault.Quote(text), show(t), maxTokens-1)
	}
	return int32(id), nil
}

// merge reads "left right" or ["left", "right"]. A space inside a part of a pair is written as the byte-level alphabet writes it.
func (r *tokenizerReader) merge() error {
	if len(r.merges) == maxMerges {
		return r.fail(limit, "model.merges has more than %d entries", maxMerges)
	}
	v, err := r.Value()
	if err != nil {
		return err
	}
	merge, ok := v.(string)
	if pair, isPair := v.([]any); isPair && len(pair) == 2 {
		left, ok1 := pair[0].(string)
		right, ok2 := pair[1].(string)
		merge, ok = strings.ReplaceAll(left, " ", "Ġ")+" "+strings.ReplaceAll(right, " ", "Ġ"), ok1 && ok2
	}
	if left, right, found := strings.Cut(merge, " "); !ok || !found || left == "" || right == "" || strings.Contains(right, " ") {
		return r.fail("_BAD_MERGE", "merge %d is %s; want two pieces", len(r.merges), show(v))
	}
	r.merges = append(r.merges, merge)
	return nil
}

func (r *tokenizerReader) addedToken() error {
	if len(r.added) == maxTokens {
		return r.fail(limit, "added_tokens has more than %d entries", maxTokens)
	}
	a := addedToken{id: -1}
	err := r.Object(func(key string) (err error) {
		if key == "id" {
			a.id, err = r.tokenID("in added_tokens")
			return err
		}
		v, err := r.Value()
		switch key {
		case "content":
			a.content, _ = v.(string)
		case "special":
			a.special, _ = v.(bool)
		}
		return err
	})
	if err != nil {
		return err
	}
	if a.id < 0 {
		return r.fail(missingKey, "an entry of added_tokens has no id")
	}
	r.added = append(r.added, a)
	return nil
}

func (r *tokenizerReader) tokenizer() (*Tokenizer, error) {
	if r.kind != "BPE" {
		return nil, r.fail("_UNSUPPORTED", "model.type is %s; wf reads BPE", fault.Quote(r.kind))
	}
	if r.unsupported != "" {
		return nil, r.fail("_UNSUPPORTED", "model.%s is set: this is neither byte-level BPE nor SentencePiece's, and wf reads no other", r.unsupported)
	}
	t := &Tokenizer{Model: names.ModelBPE, Merges: r.merges}
	for text, id := range r.ids {
		if err := t.place(r, Token{Text: text, Kind: names.TokenNormal}, id); err != nil {
			return nil, err
		}
	}
	for _, a := range r.added {
		// The text must not stand under a second id: token texts are unique in GGUF.
		if id, ok := r.ids[a.content]; ok && id != a.id {
			return nil, r.fail("_DUPLICATE_ID", "token %s has ids %d and %d", fault.Quote(a.content), min(id, a.id), max(id, a.id))
		}
		r.ids[a.content] = a.id
		if err := t.place(r, a.token(), a.id); err != nil {
			return nil, err
		}
	}
	for i, merge := range r.merges {
		left, right, _ := strings.Cut(merge, " ")
		for _, piece := range []string{left, right, left + right} {
			if _, ok := r.ids[piece]; !ok {
				return nil, r.fail("_BAD_MERGE", "merge %d, %s, needs the piece %s, which the vocabulary lacks", i, fault.Quote(merge), fault.Quote(piece))
			}
		}
	}
	t.First, t.Last = affixes(r.postProcessor)
	if r.byteFallback {
		t.becomeSentencePiece(r.normalizer, r.preTokenizer)
		return t, nil
	}
	t.Pre, t.PreErr = preTokenizer(r.normalizer, r.preTokenizer)
	if r.ignoreMerges && t.Pre != "" && t.Pre != llamaBPE {
		t.note("tokenizer.json sets ignore_merges, which pre-tokenizer %s does not imply in GGUF: rare words may be split differently", t.Pre)
	}
	return t, nil
}

// token types an added token as llama.cpp's converter does.
func (a addedToken) token() Token {
	if a.special || looksSpecial(a.content) {
		return Token{Text: a.content, Kind: names.TokenControl, Added: true}
	}
	return Token{Text: strings.ReplaceAll(a.content, "\u2581", " "), Kind: names.TokenUserDefined, Added: true}
}

func looksSpecial(text string) bool {
	between := func(open, end string) bool {
		return len(text) > len(open)+len(end)-1 && strings.HasPrefix(text, open) && strings.HasSuffix(text, end)
	}
	return text == "<pad>" || text == "<mask>" || between("<|", "|>") || between("<｜", "｜>") || between("<unused", ">")
}

// place puts a token at its id. An added token may name one of the vocabulary again, but not another.
func (t *Tokenizer) place(r *tokenizerReader, token Token, id int32) error {
	if token.Text == "" {
		return r.fail("_EMPTY_TOKEN", "token %d has no text", id)
	}
	for len(t.Tokens) <= int(id) {
		t.Tokens = append(t.Tokens, Token{})
	}
	if old := t.Tokens[id]; old.Text != "" && (old.Text != token.Text && strings.ReplaceAll(old.Text, blank, " ") != token.Text || old.Added) {
		return r.fail("_DUPLICATE_ID", "id %d is both %s and %s", id, fault.Quote(min(old.Text, token.Text)), fault.Quote(max(old.Text, token.Text)))
	}
	t.Tokens[id] = token
	return nil
}

// affixes finds the special tokens around the text in a TemplateProcessing post-processor, alone or in a Sequence.
func affixes(post any) (first, last string) {
	processor, _ := post.(map[string]any)
	if processor["type"] == "Sequence" {
		list, _ := processor["processors"].([]any)
		for _, p := range list {
			if f, l := affixes(p); f != "" || l != "" {
				first, last = f, l
			}
		}
		return first, last
	}
	single, _ := processor["single"].([]any)
	if processor["type"] != "TemplateProcessing" || len(single) < 2 {
		return "", ""
	}
	special := func(element any) string {
		outer, _ := element.(map[string]any)
		inner, _ := outer["SpecialToken"].(map[string]any)
		id, _ := inner["id"].(string)
		return id
	}
	return special(single[0]), special(single[len(single)-1])
}

// readConfig adds what tokenizer_config.json says.
func (t *Tokenizer) readConfig(f fields) error {
	if t.Special == nil {
		t.Special = map[string]string{}
	}
	text := func(key string) string { // a string, or an object with content
		if object, ok := f.members[key].(map[string]any); ok {
			content, _ := object["content"].(string)
			return content
		}
		v, _ := f.text(key)
		return v
	}
	for _, name := range specials {
		if special := text(name + "_token"); special != "" {
			t.Special[name] = special
		}
	}
	t.MaskText = text("mask_token")
	for key, flag := range map[string]**bool{"add_bos_token": &t.AddBOS, "add_eos_token": &t.AddEOS, "add_prefix_space": &t.AddSpace} {
		if v, ok := f.boolean(key); ok {
			*flag = &v
		}
	}
	return f.err()
}

// readTemplates adds the chat templates of a chat_template value: one text, or a list of {name, template}.
func (t *Tokenizer) readTemplates(f fields) error {
	list, isList := f.members["chat_template"].([]any)
	if !isList {
		if text, ok := f.text("chat_template"); ok && text != "" {
			t.Templates = append(t.Templates, ChatTemplate{"default", text})
		}
		return f.err()
	}
	for _, v := range list {
		entry, _ := v.(map[string]any)
		name, _ := entry["name"].(string)
		text, _ := entry["template"].(string)
		if text == "" || !plainName(name) || slices.ContainsFunc(t.Templates, func(c ChatTemplate) bool { return c.Name == name }) {
			f.wrong("chat_template", "a list of different names, each with its template")
			break
		}
		t.Templates = append(t.Templates, ChatTemplate{name, text})
	}
	return f.err()
}

// plainName reports whether a template's name can stand in a metadata key.
func plainName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return r >= utf8.RuneSelf || r <= ' ' || r == 0x7F
	})
}

// writeVocabulary adds the keys of FORMATS.md 7.1 to 7.3. mask is nil for an autoregressive model.
func writeVocabulary(md *gguf.Metadata, t *Tokenizer, c *Config, pre string, mask *int32, note func(string, ...any)) error {
	if n := len(t.Tokens); n > c.VocabSize {
		return fault.New("TOKENIZER_BAD_ID", "the tokenizer has token id %d, config.json vocab_size %d; they belong to different models", n-1, c.VocabSize)
	}
	if len(t.Merges) == 0 && t.Model == names.ModelBPE {
		return fault.New("TOKENIZER_BAD_MERGE", "tokenizer.json has no merges; byte-level BPE needs them")
	}
	tokens, kinds, scores := make([]string, c.VocabSize), make([]int32, c.VocabSize), make([]float32, c.VocabSize)
	seen := make(map[string]int, c.VocabSize)
	for id := range tokens {
		tokens[id], kinds[id] = t.token(id)
		if scores[id] = paddingScore; id < len(t.Tokens) && t.Tokens[id].Text != "" {
			scores[id] = t.Tokens[id].Score
		}
		if first, ok := seen[tokens[id]]; ok {
			return fault.New("TOKENIZER_DUPLICATE_ID", "token %s has ids %d and %d", fault.Quote(tokens[id]), first, id)
		}
		seen[tokens[id]] = id
	}
	md.Set(names.TokenizerModel, t.Model)
	md.Set(names.TokenizerPre, pre)
	md.Set(names.Tokens, tokens)
	md.Set(names.TokenType, kinds)
	if t.Model == names.ModelSPM {
		md.Set(names.Scores, scores)
	} else {
		md.Set(names.Merges, t.Merges)
	}

	ids, err := specialIDs(t, c)
	if err != nil {
		return err
	}
	stop := stopSet(ids, c, mask)
	if len(stop) == 0 {
		note("neither the tokenizer nor the config names an end token: generation will stop at the limit only")
	} else if _, ok := ids["bos"]; !ok {
		ids["bos"] = stop[0] // llama.cpp's default for an absent id is 11, an ordinary token
	}
	for _, s := range []struct{ name, key string }{
		{"bos", names.BOS}, {"unk", names.Unknown}, {"sep", names.Separator}, {"pad", names.Padding}, {"cls", names.CLS},
	} {
		if id, ok := ids[s.name]; ok {
			md.Set(s.key, uint32(id))
		}
	}
	for i, key := range []string{names.EOS, names.EOT, names.EOM} {
		if i < len(stop) {
			md.Set(key, uint32(stop[i]))
		}
	}
	if len(stop) > 3 {
		rest := make([]uint32, len(stop)-3)
		for i, id := range stop[3:] {
			rest[i] = uint32(id)
		}
		md.Set(names.StopTokens, rest)
	}

	stated := func(flag *bool, otherwise bool) bool {
		if flag != nil {
			return *flag
		}
		return otherwise
	}
	text := func(name string) string {
		if id, ok := ids[name]; ok {
			text, _ := t.token(int(id))
			return text
		}
		return ""
	}
	md.Set(names.AddBOS, stated(t.AddBOS, t.First != "" && t.First == text("bos")))
	md.Set(names.AddEOS, stated(t.AddEOS, t.Last != "" && t.Last == text("eos")))
	md.Set(names.AddSpacePrefix, stated(t.AddSpace, false))
	writeTemplates(md, t, note)
	return nil
}

func writeTemplates(md *gguf.Metadata, t *Tokenizer, note func(string, ...any)) {
	var others []string
	for _, c := range t.Templates {
		if c.Name == "default" {
			md.Set(names.ChatTemplate, c.Text)
			continue
		}
		others = append(others, c.Name)
		md.Set(names.ChatTemplate+"."+c.Name, c.Text)
	}
	if len(others) > 0 {
		md.Set(names.ChatTemplates, others)
	}
	if !md.Has(names.ChatTemplate) {
		note("the checkpoint has no chat template: wf generate takes its prompt as it is, and chat needs --chat-template")
	}
}

// specialIDs settles bos, eos, unk, sep, pad and cls: the text in tokenizer_config.json, then the id in config.json (FORMATS.md 7.3).
func specialIDs(t *Tokenizer, c *Config) (map[string]int32, error) {
	ids := map[string]int32{}
	for _, name := range specials {
		if id, ok := t.id(t.Special[name]); ok {
			ids[name] = id
		} else if list := c.SpecialIDs[name]; len(list) > 0 {
			ids[name] = list[0]
		}
	}
	for _, name := range specials {
		for _, id := range c.SpecialIDs[name] {
			if int(id) >= c.VocabSize {
				return nil, fault.New("TOKENIZER_BAD_SPECIAL", "%s_token_id %d is not below vocab_size %d", name, id, c.VocabSize)
			}
		}
	}
	for _, fall := range []struct{ name, back string }{{"bos", "cls"}, {"eos", "sep"}} {
		if _, ok := ids[fall.name]; !ok {
			if id, ok := ids[fall.back]; ok {
				ids[fall.name] = id
			}
		}
	}
	return ids, nil
}

// stopSet lists the ids that end generation, eos first: the tokenizer's, then those of config.json and generation_config.json. The mask is
// none of them, even where it is the model's <|endoftext|>.
func stopSet(ids map[string]int32, c *Config, mask *int32) []int32 {
	candidates := c.SpecialIDs["eos"]
	if eos, ok := ids["eos"]; ok {
		candidates = slices.Concat([]int32{eos}, candidates)
	}
	var stop []int32
	for _, id := range candidates {
		if (mask == nil || id != *mask) && !slices.Contains(stop, id) {
			stop = append(stop, id)
		}
	}
	return stop
}
