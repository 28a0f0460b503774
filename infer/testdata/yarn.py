"""Writes yarn.json: frequencies and scales of YaRN in float64, after transformers' _compute_yarn_parameters and llama.cpp's rope_yarn.

python3 yarn.py > yarn.json
"""
import json
import math


def yarn(dim, base, factor, original, fast=32.0, slow=1.0, ext=1.0, attn=1.0):
    def index(turns):
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(math.floor(index(fast)), 0), min(math.ceil(index(slow)), dim - 1)
    inv = []
    for j in range(dim // 2):
        extrapolated = base ** (-2 * j / dim)
        ramp = (j - low) / max(0.001, high - low)
        mix = (1 - min(1, max(0, ramp))) * ext
        inv.append(extrapolated / factor * (1 - mix) + extrapolated * mix)
    scale = attn * (1 + 0.1 * math.log(factor)) if ext else attn
    return inv, scale


cases = []
for c in (
    dict(dim=128, base=1000000.0, factor=4.0, original=32768),  # Qwen2.5
    dict(dim=128, base=500000.0, factor=40.0, original=4096, attn=0.75),
    dict(dim=64, base=10000.0, factor=2.5, original=2048, fast=16.0, slow=2.0, ext=0.5),
    dict(dim=16, base=10000.0, factor=8.0, original=64, ext=0.0),
    dict(dim=16, base=10000.0, factor=8.0, original=4),  # every pair is slow
):
    inv, scale = yarn(**c)
    cases.append(dict(c, inv=inv, scale=scale))
print(json.dumps(cases, indent=None, separators=(",", ":")).replace("},{", "},\n{"))
