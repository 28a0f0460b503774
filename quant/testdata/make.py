"""Writes golden.json with the numpy quantizers of gguf-py (pip install gguf==0.19.0 numpy): python make.py > golden.json

Everything is hexadecimal little endian. x: float32 weights; ternary: float32 weights in {-s, 0, s}. Each of "types" has the blocks ("data") and
their values as float32 ("values"); Q6_K, which gguf-py only decodes, has random blocks.
"""

import json

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

rng = np.random.default_rng(20240217)
x = rng.normal(0, 0.02, (4, 256)).astype(np.float32)
x[1, :64] = 0
x[1, 64:128] = np.round(x[1, 64:128] * 400) / 127  # many ties
x[2] *= np.float32(1e-6)  # scales that are subnormal halves
x[3, ::7] *= np.float32(3000)
ternary = rng.integers(-1, 2, (4, 256)).astype(np.float32) * np.float32(0.0173)
ternary[2] = 0
q6 = rng.integers(0, 256, (4, 210), dtype=np.uint8)
q6[:, 208:] = np.array([0.01, -0.5, 6e-6, 0], dtype=np.float16).view(np.uint8).reshape(4, 2)


def entry(data, t):
    return {"data": data.tobytes().hex(), "values": dequantize(data, t).astype("<f4").tobytes().hex()}


types = {t.name: entry(quantize(x, t), t) for t in (T.BF16, T.F16, T.Q8_0, T.Q4_0)}
types |= {t.name: entry(quantize(ternary, t), t) for t in (T.TQ1_0, T.TQ2_0)}
types["Q6_K"] = entry(q6, T.Q6_K)
print(json.dumps({"x": x.tobytes().hex(), "ternary": ternary.tobytes().hex(), "types": types}, indent=1))
