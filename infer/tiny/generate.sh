#!/bin/sh
# Makes wf-tiny.gguf from the training checkpoint with wf's own convert and quantize. Same input, same bytes.
set -eu
out=$(pwd)/wf-tiny.gguf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -s "$out" ] || : >"$out" # the package embeds the file, so one must be there to build wf at all
cd ../..
go build -o "$work/wf" ./cmd/wf
"$work/wf" -q convert testdata/tinydlm/hf -o "$work/wf-tiny-F32.gguf" --outtype f32 >/dev/null
"$work/wf" -q quantize "$work/wf-tiny-F32.gguf" "$work/wf-tiny.gguf" I2_S --token-embedding-type bf16 >/dev/null
mv "$work/wf-tiny.gguf" "$out"
