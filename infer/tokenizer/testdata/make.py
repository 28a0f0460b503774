"""Makes tinydlm.json and split.json: what huggingface/tokenizers makes of texts.

    pip install tokenizers==0.23.3 && python3 make.py
"""
import json, random
from pathlib import Path
from tokenizers import Regex, Tokenizer, pre_tokenizers as pre

HERE = Path(__file__).parent
RNG = random.Random(20240229)

PARTS = ["a", "Z", "the", " the", "I'm", "I'M", "we'll", "they'RE", "don't", "'s", "'", "''d", "'ve been", "it'S", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\n ", " \n",
         "\v", "\f", "\u0085", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "0", "7", "42", "123", "2024", "1234567", " 12", "3.14", "١٢٣", "²", "Ⅷ", "½", "!", "?!", "...", " -",
         "--", "#", "$5", "<|", "|>", "=>", "^^", "~", "_", "a_b", "(x)", "{}", "[0]", "\\n", "/", "//", "\"", "“quoted”", "–", "—", "é", "e\u0301", "ñ", "ß", "Ω", "й", "ё",
         "中文", "日本語", "한국어", "ไทย", "हिन्दी", "العربية", "עברית", "ı", "İ", "ﬁ", "🙂", "👩‍👩‍👧", "🇫🇷", "🏽", "\u0300\u0301", "\U0001d400", "\U00020000", "\x00", "\x1f", "\x7f", "\ufffd",
         "What is 12 + 30?", "Spell the word cat.", "capital of France", " France", "Paris.", "hello", "Hello, world!", "CAPITALS", "camelCase", "snake_case", "x=1;", "http://a.b/c?d=e&f"]


def texts(n, longest):
    fixed = ["", "I'M  here 2024!\n\n x", "a \n\n  b\t", "   ", "\n\n\n", " \t \n \r\n x", "12345678901", "What is the capital of France?", "'sS'Tt'RE're", "a'b'c", "x  \n\n  y"]
    return fixed + ["".join(RNG.choice(PARTS) for _ in range(RNG.randint(1, longest))) for _ in range(n - len(fixed))]


def split(pattern):
    return pre.Split(Regex(pattern), "isolated")


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TIKTOKEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITTERS = {
    "gpt-2": pre.ByteLevel(add_prefix_space=False, use_regex=True),
    "smollm": pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)]),
    "llama-bpe": split(TIKTOKEN % "{1,3}"),
    "qwen2": split(TIKTOKEN % ""),
    "default": pre.Sequence([split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+"), split(r"[0-9][0-9][0-9]")]),
}

# The same byte-level library counts offsets of several stages in characters of the original text.
cases = []
for text in texts(220, 9):
    pieces = {}
    for name, splitter in SPLITTERS.items():
        ends = [end for _, (_, end) in splitter.pre_tokenize_str(text)]
        assert ends[-1:] in ([], [len(text)]), (name, text, ends)
        pieces[name] = [text[a:b] for a, b in zip([0] + ends, ends)]
    cases.append({"text": text, "pieces": pieces})
json.dump(cases, open(HERE / "split.json", "w"), ensure_ascii=True, separators=(",", ":"))

tiny = Tokenizer.from_file(str(HERE / "../../../testdata/tinydlm/hf/tokenizer.json"))
special = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>\n", "<|im_", "start|>"]
PARTS += special
cases = []
for text in texts(300, 12):
    ids = tiny.encode(text, add_special_tokens=False).ids
    cases.append({"text": text, "ids": ids})
json.dump(cases, open(HERE / "tinydlm.json", "w"), ensure_ascii=True, separators=(",", ":"))
