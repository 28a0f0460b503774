"""Write a small random checkpoint of each family as its own tools save it, with the logits that huggingface/transformers computes from it.

Run: python3 make.py        (PyPI torch, transformers 5.24, accelerate, tokenizers, sentencepiece; CPU)

Every model has 512 tokens, of which the tokenizer knows fewer: the rest is padding. golden.safetensors holds ids (16, as float32) and logits.causal
[16, 512], and the same for ids.short (4 ids whose activations stay far from an int8 rounding edge); metadata: how the reference ran.
"""
import os
os.environ["TORCHDYNAMO_DISABLE"] = "1"
import io, json, shutil, sys
import sentencepiece, torch, transformers
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BitNetConfig, BitNetForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.integrations import bitnet
import make_tokenizers as families

torch.set_num_threads(1)
transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar()

here = os.path.dirname(os.path.abspath(__file__))
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SHAPE = dict(vocab_size=512, hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
             bos_token_id=0, eos_token_id=1, pad_token_id=None)
TEMPLATE = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"


def bpe(d, family, bos, eos, mask=None, tail=()):
    pre, normalizer, *_ = families.FAMILIES[family]
    t = Tokenizer(models.BPE(ignore_merges=family == "llama-3")); t.pre_tokenizer, t.decoder = pre, decoders.ByteLevel()
    if normalizer: t.normalizer = normalizer
    t.train_from_iterator(families.corpus(), trainers.BpeTrainer(vocab_size=480, special_tokens=[bos, eos] + ([mask] if mask else []), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_tokens([AddedToken(s, special=True) for s in tail])
    t.save(f"{d}/tokenizer.json", pretty=False)
    json.dump(dict(tokenizer_class="PreTrainedTokenizerFast", bos_token=bos, eos_token=eos, add_bos_token=family == "llama-3", chat_template=TEMPLATE), open(f"{d}/tokenizer_config.json", "w"), indent=1)


def spm(d):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([s for t in families.corpus() for s in t.split("\n") if s.isascii()]), model_writer=model, model_type="bpe", vocab_size=500, byte_fallback=True,
        character_coverage=1.0, normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, minloglevel=2)
    open(f"{d}/tokenizer.model", "wb").write(model.getvalue())
    json.dump({"[PAD]": 500, "<|user|>": 501}, open(f"{d}/added_tokens.json", "w"))
    json.dump(dict(tokenizer_class="BitnetTokenizer", bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="[PAD]", add_bos_token=True, add_eos_token=False), open(f"{d}/tokenizer_config.json", "w"), indent=1)


def random_weights(m, seed):
    """Weights of the size that training gives, norms and biases that a reader must not leave out."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in m.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if p.dim() == 1: p.copy_(r * .5 if name.endswith("bias") else 1 + .1 * r)
            else: p.copy_(r * (.5 if "embed" in name else p.shape[1] ** -.5 if "lm_head" not in name else .06))
    return m


def pack(sd, rule):
    """As transformers stores them: four codes to the byte and a weight_scale, the mean or its reciprocal."""
    out = {}
    for k, w in sd.items():
        if k.split(".")[-2] not in LINEAR: out[k] = w; continue
        s = w.float().abs().mean().clamp(min=1e-5)
        out[k] = bitnet.pack_weights((w.float() / s).round().clamp(-1, 1))
        out[k + "_scale"] = (s if rule == "multiply" else 1 / s).reshape(1).to(torch.bfloat16)
    return out


edges = []


def watch(x):
    s = 127 / x.float().abs().max(dim=-1, keepdim=True).values.clamp(min=1e-5)
    y = x.float() * s
    edges.append(float(((y - y.floor()) - .5).abs().min()))
    return x


def edge(m, ids):
    edges.clear(); m(torch.tensor([ids])); return min(edges, default=.5)


class Watched:
    """Records how near to a rounding edge any activation comes."""
    def __enter__(self):
        self.apply, self.quant = bitnet.ActQuant.apply, bitnet.BitLinear.activation_quant
        bitnet.ActQuant.apply = lambda x: self.apply(watch(x))
        bitnet.BitLinear.activation_quant = lambda layer, x: self.quant(layer, watch(x))
    def __exit__(self, *_):
        bitnet.ActQuant.apply, bitnet.BitLinear.activation_quant = self.apply, self.quant


@torch.no_grad()
def golden(name, load=None):
    """Run transformers on what lies in the folder, in float32."""
    d = f"{here}/{name}"
    m = transformers.AutoModelForCausalLM.from_pretrained(load or d, dtype=torch.float32, attn_implementation="eager").eval()
    torch.nn.Module.float(m)  # its own float() refuses, although the values allow it
    for layer in m.modules():
        if isinstance(layer, bitnet.BitLinear): layer.dtype = torch.float32
    g = torch.Generator().manual_seed(99)
    draw = lambda n: torch.randint(3, 470, (n,), generator=g).tolist()
    ids, out = draw(16), {}
    with Watched():
        candidates = [draw(4) for _ in range(100)]
        best = max(candidates, key=lambda c: edge(m, c)); near = edge(m, best)
    for key, what in (("", ids), (".short", best)):
        out["ids" + key] = torch.tensor(what, dtype=torch.float32)
        out[f"logits{key}.causal"] = m(torch.tensor([what])).logits[0].float().contiguous()
    layer = type(m.model.layers[0].mlp.down_proj).__name__
    save_file(out, f"{d}/golden.safetensors", dict(reference=f"transformers {transformers.__version__} {type(m).__name__} {layer} float32", edge=f"{near:.1e}"))
    print(f"{name}: {type(m).__name__}, {layer}, nearest rounding edge {near:.1e}, {sum(os.path.getsize(os.path.join(d, f)) for f in os.listdir(d)) // 1024} KiB")


def fresh(name):
    d = f"{here}/{name}"; shutil.rmtree(d, ignore_errors=True); os.makedirs(d); return d


def config(d, **changes):
    c = json.load(open(f"{d}/config.json")); c.update(changes)
    json.dump({k: v for k, v in c.items() if v is not ...}, open(f"{d}/config.json", "w"), indent=1)


ONLINE = dict(quant_method="bitnet", linear_class="autobitlinear", quantization_mode="online", modules_to_not_convert=["lm_head"])

if __name__ == "__main__":
    # microsoft/bitnet-b1.58-2B-4T-bf16, and -2B-4T (packed), and the .pth of its GPU kernels: one model
    d = fresh("bitnet-bf16")
    m = random_weights(BitNetForCausalLM(BitNetConfig(**SHAPE, hidden_act="relu2", tie_word_embeddings=True)), 1).to(torch.bfloat16)
    m.save_pretrained(d); config(d, quantization_config=ONLINE)
    bpe(d, "llama-3", "<|begin_of_text|>", "<|end_of_text|>", tail=["<|eot_id|>"]); golden("bitnet-bf16")
    master = {k: v for k, v in m.state_dict().items() if k != "lm_head.weight"}

    d = fresh("bitnet-packed")
    m.save_pretrained(d); config(d, quantization_config=dict(ONLINE, quantization_mode="offline"))
    save_file(pack(master, "multiply"), f"{d}/model.safetensors", dict(format="pt"))
    bpe(d, "llama-3", "<|begin_of_text|>", "<|end_of_text|>", tail=["<|eot_id|>"]); golden("bitnet-packed")

    d = fresh("bitnet-pth")
    meta = {}
    names = {"model.embed_tokens": "tok_embeddings", "model.norm": "norm", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm", "self_attn.attn_sub_norm": "attention.attn_sub_norm",
             "mlp.ffn_sub_norm": "feed_forward.ffn_sub_norm", "self_attn.o_proj": "attention.wo", "mlp.down_proj": "feed_forward.w2", "model.layers.": "layers."}
    pairs = lambda w, heads: w.view(heads, 2, -1, w.shape[-1]).transpose(1, 2).reshape(w.shape)  # rotate-half to interleaved, as in Meta's files
    for i in range(2):
        p, q = f"model.layers.{i}.", f"layers.{i}."
        meta[q + "attention.wqkv.weight"] = torch.cat([pairs(master[p + "self_attn.q_proj.weight"], 4), pairs(master[p + "self_attn.k_proj.weight"], 2), master[p + "self_attn.v_proj.weight"]])
        meta[q + "feed_forward.w13.weight"] = torch.cat([master[p + "mlp.gate_proj.weight"], master[p + "mlp.up_proj.weight"]])
    for k, v in master.items():
        if k.split(".")[-2] in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"): continue
        for a, b in names.items(): k = k.replace(a, b)
        meta[k] = v
    torch.save(meta, f"{d}/model_state.pth")
    for f in ("config.json", "tokenizer.json", "tokenizer_config.json"): shutil.copy(f"{here}/bitnet-bf16/{f}", d)
    golden("bitnet-pth", f"{here}/bitnet-bf16")

    # 1bitLLM/bitnet_b1_58: MHA, SiLU, its own names of the sub-norms, float16, SentencePiece with added tokens behind it
    d = fresh("1bitllm"); hf = fresh("scratch")
    m = random_weights(BitNetForCausalLM(BitNetConfig(**{**SHAPE, "num_key_value_heads": 4}, hidden_act="silu", tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=10000.0))), 2).to(torch.float16)
    m.save_pretrained(hf); config(hf, quantization_config=ONLINE)
    rename = lambda k: k.replace("attn_sub_norm", "inner_attn_ln").replace("ffn_sub_norm", "ffn_layernorm")
    save_file({rename(k): v for k, v in m.state_dict().items()}, f"{d}/model.safetensors", dict(format="pt"))
    shutil.copy(f"{hf}/config.json", d)
    config(d, architectures=["BitnetForCausalLM"], model_type="llama", quantization_config=..., weight_bits=1, input_bits=8, bos_token_id=1, eos_token_id=2, rope_parameters=..., rope_theta=10000.0, rope_scaling=None)
    spm(d); golden("1bitllm", hf)

    # HF1BitLLM/Llama3-8B-1.58: packed, bitlinear by default (the scale divides), llama3 rope
    d = fresh("llama3-158")
    llama3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=128)
    m = random_weights(LlamaForCausalLM(LlamaConfig(**SHAPE, rope_parameters=llama3)), 3).to(torch.bfloat16)
    m.save_pretrained(d); config(d, quantization_config=dict(quant_method="bitnet", modules_to_not_convert=["lm_head"]))
    save_file(pack(m.state_dict(), "divide"), f"{d}/model.safetensors", dict(format="pt"))
    bpe(d, "llama-3", "<|begin_of_text|>", "<|end_of_text|>", tail=["<|eot_id|>"]); golden("llama3-158")

    # tiiuae/Falcon3-1.58bit: the same with a head_dim of its own; Falcon-E: tied
    for name, seed, extra in (("falcon3-158", 4, dict(num_attention_heads=2, num_key_value_heads=1, head_dim=128)), ("falcon-e", 5, dict(tie_word_embeddings=True))):
        d = fresh(name)
        m = random_weights(LlamaForCausalLM(LlamaConfig(**{**SHAPE, **extra}, rope_parameters=dict(rope_type="default", rope_theta=1000042.0))), seed).to(torch.bfloat16)
        m.save_pretrained(d); config(d, quantization_config=dict(quant_method="bitnet", modules_to_not_convert=["lm_head"]))
        sd = m.state_dict()
        if m.config.tie_word_embeddings: sd.pop("lm_head.weight")
        save_file(pack(sd, "divide"), f"{d}/model.safetensors", dict(format="pt"))
        bpe(d, "falcon3", ">>TITLE<<", "<|endoftext|>"); golden(name)

    # WrinkleFree, SmolLM2's width (576, heads of 64), its offline export: linear_class missing, the scale multiplies, dlm_config.json
    d = fresh("wrinklefree-576")
    m = random_weights(LlamaForCausalLM(LlamaConfig(**{**SHAPE, "hidden_size": 576, "intermediate_size": 384, "num_hidden_layers": 1, "num_attention_heads": 9, "num_key_value_heads": 3}, tie_word_embeddings=True)), 6).to(torch.bfloat16)
    m.save_pretrained(d); config(d, quantization_config=dict(ONLINE, quantization_mode="offline"))
    save_file(pack({k: v for k, v in m.state_dict().items() if k != "lm_head.weight"}, "multiply"), f"{d}/model.safetensors", dict(format="pt"))
    bpe(d, "smollm", "<|endoftext|>", "<|im_end|>", mask="|<MASK>|"); golden("wrinklefree-576")
    config(d, architectures=["BitnetForCausalLM"], quantization_config=dict(quant_method="bitnet", quantization_mode="offline", modules_to_not_convert=["lm_head"]))
    json.dump(dict(mask_token_id=2, mask_prob=.15, ignore_index=-100, training_method="unified-dlm"), open(f"{d}/dlm_config.json", "w"))

    # plain models, as save_pretrained leaves them; llama in shards
    d = fresh("llama")
    random_weights(LlamaForCausalLM(LlamaConfig(**SHAPE)), 7).to(torch.bfloat16).save_pretrained(d, max_shard_size="400KB")
    bpe(d, "gpt-2", "<|startoftext|>", "<|endoftext|>"); golden("llama")
    d = fresh("qwen2")
    random_weights(Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True)), 8).to(torch.bfloat16).save_pretrained(d)
    bpe(d, "qwen2", "<|endoftext|>", "<|im_end|>", mask="|<MASK>|"); golden("qwen2")
    shutil.rmtree(f"{here}/scratch")
