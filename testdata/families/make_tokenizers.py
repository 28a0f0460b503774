"""Train a small tokenizer of each family's structure and record what its own library makes of some 2500 strings.

Run: python3 make_tokenizers.py        (needs PyPI tokenizers 0.23, sentencepiece 0.2 and transformers 5)

tokenizers/strings.json.gz         the strings, valid UTF-8 all of them: the libraries take str
tokenizers/NAME/tokenizer.json     byte-level BPE by PyPI tokenizers, with the normalizer, pre-tokenizer, post-processor and kinds of
                                   added tokens of the family; spm: tokenizer.model by sentencepiece; llama-2: its tokenizer.json by transformers
tokenizers/NAME/ids.json.gz        the ids of each string. Control tokens in it are recognised, except for spm, whose library never does.
                                   qwen2: without its normalizer, NFC, which GGUF files do not store
"""
import os
here = os.path.dirname(os.path.abspath(__file__))
import glob, gzip, io, json, random, tempfile, unicodedata
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = os.path.join(here, "tokenizers")
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS, REST = r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}", r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

SENTENCES = """The quick brown fox jumps over the lazy dog, and it's 1,234.56 € on 2024-11-05 at 09:30.
Der schnelle braune Fuchs springt über den faulen Hund; größer, schöner, weiter!
Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío, ¿añoraba a su querido cachorro?
Съешь же ещё этих мягких французских булок, да выпей чаю.
Ο καλύμνιος σφουγγαράς ψιθύρισε πως θα βουτήξει χωρίς να διστάζει.
いろはにほへと ちりぬるを 我が世誰ぞ 常ならむ。カタカナも漢字も書きます。
天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。机器学习模型在处理器上运行。
키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.
نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ومغلف بجلد أزرق.
דג סקרן שט בים מאוכזב ולפתע מצא לו חברה.
ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश।
เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน
Quốc gia này có nhiều cảnh đẹp và những con người thân thiện. Zażółć gęślą jaźń. Příliš žluťoučký kůň.
def fib(n: int) -> int:\n    return n if n < 2 else fib(n - 1) + fib(n - 2)  # O(2**n)
for (int i = 0; i < 10; ++i) {\n\tprintf("%d\\n", a[i] & 0xFF);\n}
if err != nil {\n\treturn fmt.Errorf("convert: tensor %q: %w", name, err)\n}
SELECT name, COUNT(*) AS n FROM users WHERE age >= 18 GROUP BY name HAVING n > 3;
<div class="row"><a href="https://example.com/?q=1&r=2#top">link</a></div>
{"a": [1, 2.5, -3e10, null, true], "b": {"c": "\\u00e9"}}""".split("\n")
SENTENCES = [s.replace("\\n", "\n").replace("\\t", "\t") for s in SENTENCES]


def corpus():
    texts = list(SENTENCES) * 8
    for path in sorted(glob.glob(os.path.join(here, "../tinydlm/train/*.py")) + glob.glob(os.path.join(here, "../reference/*.py"))):
        texts += open(path).read().split("\n\n")
    texts += [json.loads(line)["prompt"] for line in open(os.path.join(here, "../tinydlm/eval.jsonl")) if "prompt" in json.loads(line)]
    return texts


def strings(specials):
    rng = random.Random(1)
    out = list(SENTENCES) + ["", " ", "  ", "   ", "\n", "\n\n", " \n", "\n ", "\t", "\t\t x", "\r\n", "a\r\nb\r\n", "\u00a0x", "\u3000 x", "x\u2028y", "\x00", "\x7f",
        "I'M  here 2024!\n\n x", "a \n\n  b\t", "'s't're've'm'll'd", "'S'T'RE'VE'M'LL'D", "don't DON'T y'all'd've", "ſ's 'ſ", "1", "12", "123", "1234", "12345", "1234567890123",
        "½¾²³¹①Ⅷ", "٣٤٥٦ १२३ 12½3456", "м and мир 999", "x²y", "!!!???...", "``` code ```", "$+<=>^~|`", "--==>>", "🙂", "🙂🙃🙂🙂", "👩‍👩‍👧‍👦 👍🏽 🇩🇪", "e\u0301e\u0301", "é", "Å Å", "ﬁ ﬂ",
        "\u0301", "a\u0301\u0302\u0303b", "\ufeffbom", "\u200b\u200d", "\ufffd", "\U0010ffff", "\ue000", "ab" * 300, "A" * 500, " " * 100, "\n" * 60, "^" * 200, "1" * 100, "é" * 100]
    for s in specials:
        out += [s, " " + s + " ", s + s, "a" + s + "b", s + "\n", s[:-1], s[1:], s.upper()]
    words = sorted({w for s in SENTENCES for w in s.split()})
    while len(out) < 1100:  # words of all scripts, joined by all kinds of space and sign
        out.append("".join(rng.choice(words) + rng.choice([" ", " ", " ", "  ", "\n", "\t", ", ", ".", "'s ", "!", " 1", "  \n ", "-", "_", "(", "\u00a0"]) for _ in range(rng.randint(1, 12))))
    ranges = [(0x20, 0x7e), (0x20, 0x7e), (0xa0, 0x17f), (0x370, 0x4ff), (0x5d0, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f), (0x1100, 0x11ff), (0x2000, 0x2bff), (0x3000, 0x30ff), (0x4e00, 0x4fff),
              (0xac00, 0xacff), (0xfe00, 0xffef), (0x1f300, 0x1f6ff), (0x1d400, 0x1d7ff), (0x10000, 0x10fff), (0, 0x1f)]
    def assigned(lo, hi):  # characters that Unicode has had for long: every table agrees about their class
        while True:
            c = chr(rng.randint(lo, hi))
            if lo == 0x1f300 or unicodedata.ucd_3_2_0.category(c) != "Cn":
                return c
    while len(out) < 1700:  # characters of all planes
        out.append("".join(assigned(*rng.choice(ranges)) for _ in range(rng.randint(1, 30))))
    while len(out) < 2000:  # numbers
        out.append(rng.choice(["", " ", "$", "-", "0x"]) + "".join(rng.choice("0123456789" * 3 + ",. _e½٣") for _ in range(rng.randint(1, 20))))
    while len(out) < 2250:  # whitespace and quotes, where pre-tokenizers differ most
        out.append("".join(rng.choice([" ", " ", "\n", "\r", "\t", "\u00a0", "\u2003", "\u0085", "a", "B", "1", "'", "s", "ll", "!", "é"]) for _ in range(rng.randint(1, 25))))
    while len(out) < 2500:  # code
        out.append("".join(rng.choice(["if ", "(", ")", "{", "}", "\n", "    ", "\t", "x", "_y", "foo.bar", "=", "==", "!=", "&&", "0", "42", "3.14", '"', "'", "// ", "#", ";", ",", "->", "λ"])
                           for _ in range(rng.randint(3, 30))))
    return out


def save_gz(path, value):
    with gzip.GzipFile(path, "wb", 9, mtime=0) as f:
        f.write(json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode())


def split(numbers):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CONTRACTIONS + WORDS + numbers + REST), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
FALCON = pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), GPT2, pre_tokenizers.Digits(individual_digits=False),
                                  pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
SMOLLM = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2])
FAMILIES = {  # name: pre-tokenizer, normalizer, special tokens at the end, special tokens at the beginning, added text, ignore_merges, bos
    "llama-3": (split("{1,3}"), None, ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], [], [], True, "<|begin_of_text|>"),
    "falcon3": (split("{1,3}"), None, [], [">>TITLE<<", ">>ABSTRACT<<", "<|endoftext|>", "<|pad|>"], ["<think>", "</think>"], False, None),
    "falcon": (FALCON, None, [], [">>TITLE<<", ">>ABSTRACT<<", ">>INTRODUCTION<<", "<|endoftext|>"], [], False, None),
    "qwen2": (split(""), normalizers.NFC(), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], [], ["<tool_call>", "</tool_call>"], False, None),
    "smollm": (SMOLLM, None, [], ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"], [], False, None),
    "gpt-2": (GPT2, None, ["<|endoftext|>"], [], [], False, None),
}

if __name__ == "__main__":
    specials = sorted({s for f in FAMILIES.values() for s in f[2] + f[3] + f[4]} | {"<s>", "</s>", "<unk>", "<sep>"})
    texts = strings(specials)
    save_gz(os.path.join(OUT, "strings.json.gz"), texts)
    for name, (pre, normalizer, behind, before, added, ignore, bos) in FAMILIES.items():
        t = Tokenizer(models.BPE(ignore_merges=ignore))
        t.pre_tokenizer, t.decoder = pre, decoders.ByteLevel()
        if normalizer: t.normalizer = normalizer
        t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=1500, special_tokens=before, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
        t.add_special_tokens(behind)
        t.add_tokens([AddedToken(s, normalized=False, special=False) for s in added])
        if bos:
            t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, t.token_to_id(bos))])])
        os.makedirs(os.path.join(OUT, name), exist_ok=True)
        t.save(os.path.join(OUT, name, "tokenizer.json"), pretty=False)
        plain = Tokenizer.from_file(os.path.join(OUT, name, "tokenizer.json"))
        ids = [e.ids for e in plain.encode_batch(texts, add_special_tokens=False)]
        if normalizer:
            plain = json.load(open(os.path.join(OUT, name, "tokenizer.json"))); plain["normalizer"] = None
            plain = Tokenizer.from_str(json.dumps(plain))
            as_is = [e.ids for e in plain.encode_batch(texts, add_special_tokens=False)]
            print(f"{name}: the normalizer changes the ids of {sum(a != b for a, b in zip(ids, as_is))} strings"); ids = as_is
        save_gz(os.path.join(OUT, name, "ids.json.gz"), ids)
        print(name, t.get_vocab_size(), sum(map(len, ids)))

    import sentencepiece
    os.makedirs(os.path.join(OUT, "spm"), exist_ok=True); os.makedirs(os.path.join(OUT, "llama-2"), exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([s for t in corpus() for s in t.split("\n")]), model_writer=model, model_type="bpe", vocab_size=900, byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", add_dummy_prefix=True, remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
        user_defined_symbols=["<sep>", "▁▁▁▁"], num_threads=1, minloglevel=2)
    open(os.path.join(OUT, "spm", "tokenizer.model"), "wb").write(model.getvalue())
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    save_gz(os.path.join(OUT, "spm", "ids.json.gz"), [sp.encode(s) for s in texts])
    print("spm", sp.get_piece_size())

    with tempfile.TemporaryDirectory() as d:
        open(os.path.join(d, "tokenizer.model"), "wb").write(model.getvalue())
        json.dump(dict(tokenizer_class="LlamaTokenizer", legacy=False, bos_token="<s>", eos_token="</s>", unk_token="<unk>", add_bos_token=True), open(os.path.join(d, "tokenizer_config.json"), "w"))
        from transformers import AutoTokenizer
        t = AutoTokenizer.from_pretrained(d)
        t.save_pretrained(d)
        print(os.listdir(d))
        fast = Tokenizer.from_file(os.path.join(d, "tokenizer.json"))
        fast.save(os.path.join(OUT, "llama-2", "tokenizer.json"), pretty=False)
        save_gz(os.path.join(OUT, "llama-2", "ids.json.gz"), [e.ids for e in fast.encode_batch(texts, add_special_tokens=False)])
