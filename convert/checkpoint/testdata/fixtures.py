"""Lists the tensors of the shared fixtures with nothing but Python's own json, zipfile and pickle. Run: python3 fixtures.py > fixtures.txt"""
import hashlib, json, os, pickle, struct, zipfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../testdata")
STORAGE = {"DoubleStorage": ("F64", 8), "FloatStorage": ("F32", 4), "HalfStorage": ("F16", 2), "BFloat16Storage": ("BF16", 2), "LongStorage": ("I64", 8), "ByteStorage": ("U8", 1)}


def safetensors(path):
    b = open(path, "rb").read()
    n, = struct.unpack("<Q", b[:8])
    for name, e in json.loads(b[8:8 + n]).items():
        if name != "__metadata__":
            yield name, e["dtype"], e["shape"], b[8 + n + e["data_offsets"][0]:8 + n + e["data_offsets"][1]]


def torch(path):
    z = zipfile.ZipFile(path)
    pkl, = [n for n in z.namelist() if n.endswith("/data.pkl")]

    def rebuild(storage, offset, size, stride, *_):
        (dtype, width), data = storage
        want, last = [], 1  # contiguous strides
        for n in reversed(size):
            want.insert(0, last)
            last *= n
        assert tuple(want) == stride, (size, stride)
        return dtype, list(size), data[offset * width:(offset + last) * width]

    class U(pickle.Unpickler):
        def find_class(self, module, name):
            return STORAGE[name] if module == "torch" else {"_rebuild_tensor_v2": rebuild, "OrderedDict": dict}[name]

        def persistent_load(self, pid):
            return pid[1], z.read(pkl[:-8] + "data/" + pid[2])

    root = U(z.open(pkl)).load()
    for name, (dtype, size, data) in root.get("model_state_dict", root).items():
        yield name.removeprefix("module."), dtype, size, data


for folder in ("fixtures/bitnet-online", "fixtures/bitnet-sharded", "fixtures/wrinklefree-pt", "fixtures/bitnet-packed-autobitlinear", "fixtures/llama-packed-bitlinear",
               "fixtures/bitnet-no-subln", "fixtures/fast-dllm-qwen", "tinydlm/hf", "tinydlm/pt"):
    print(folder)
    found = []
    for file in os.listdir(f"{ROOT}/{folder}"):
        if file.startswith("model") and file.endswith(".safetensors"):
            found += safetensors(f"{ROOT}/{folder}/{file}")
        if file in ("pytorch_model.bin", "checkpoint.pt"):
            found += torch(f"{ROOT}/{folder}/{file}")
    for name, dtype, shape, data in sorted(found):
        print(f"    {name} {dtype} [{' '.join(map(str, shape))}] {hashlib.sha256(data).hexdigest()[:16]}")
