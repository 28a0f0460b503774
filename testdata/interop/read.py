"""Prints what gguf-py reads of a GGUF file, as JSON: python read.py FILE (pip install gguf==0.19.0). An array is its length."""

import json
import sys

from gguf import GGUFReader, GGUFValueType

reader = GGUFReader(sys.argv[1])
metadata = {}
for key, field in reader.fields.items():
    if key.startswith("GGUF."):  # the header, as gguf-py presents it
        continue
    metadata[key] = len(field.data) if field.types[0] == GGUFValueType.ARRAY else field.contents()
tensors = [{"name": t.name, "type": int(t.tensor_type), "dims": [int(d) for d in t.shape], "bytes": int(t.n_bytes)} for t in reader.tensors]
json.dump({"metadata": metadata, "tensors": tensors}, sys.stdout)
