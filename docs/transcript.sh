#!/usr/bin/env bash
# Writes docs/first-ten-minutes.md: runs every command of the page in an empty folder and pastes what it prints, with the time it took.
# Needs git, Go, curl and a free port 30000; takes a minute. SOURCE is what git clones; as a rule the repository that this script is in.
#
#	docs/transcript.sh            # or: make transcript
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
page=$here/docs/first-ten-minutes.md
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
export HOME=$work GOFLAGS=-buildvcs=false GOMODCACHE=${GOMODCACHE:-$(go env GOMODCACHE)} GOCACHE=${GOCACHE:-$(go env GOCACHE)} NO_COLOR=1 LC_ALL=C.UTF-8
export GOPATH=$work/go PATH=$work/go/bin:$PATH
cd "$work"
ln -s "${SOURCE:-$here}" wf.git

say() { printf '%s\n\n' "$1"; }

run() { # run COMMAND [STATUS]: in this shell, so that cd and & last
	local began=$EPOCHREALTIME status=0 wanted=${2:-0}
	printf '```console\n$ %s\n' "$1"
	eval "$1" >"$work/out" 2>&1 || status=$?
	local took=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
	sed "s|$work|~|g; s/[[:space:]]*\$//" "$work/out"
	printf '```\n\n'
	[ "$status" = "$wanted" ] || { echo "transcript: $1: status $status" >&2; cat "$work/out" >&2; exit 1; }
	[ "$status" = 0 ] || printf 'Exit status %d, ' "$status"
	printf '%d.%03d s\n\n' $((took / 1000)) $((took % 1000))
	total=$((total + took))
}
total=0

{
	say '# The first ten minutes'
	say 'From `git clone` to a served model of your own. [transcript.sh](transcript.sh) ran every command here in an empty folder, pasted what it printed and wrote
down the time; notices are on standard error and shown too. `wf.git` stands for the address of the repository.'
	say '## Text, before anything is set up'
	run 'git clone -q wf.git wf && cd wf'
	run 'go run ./cmd/wf generate "What is the capital of France?"'
	say 'The model is one that the binary carries. The time is that of the compiler, unless its cache is warm. Now `wf` by its name:'
	run 'go install ./cmd/wf'
	run 'wf'
	run 'wf doctor'
	say '## A checkpoint of your own'
	say 'Here it is the one that the training of that small model left: PyTorch weights, config.json, a tokenizer.'
	run 'cp -r testdata/tinydlm/pt my-model && ls my-model'
	run 'wf inspect my-model'
	run 'wf convert my-model'
	run 'wf quantize my-model-F16.gguf I2_S'
	run 'wf verify my-model-F16.gguf --source my-model'
	run 'wf verify my-model-I2_S.gguf --source my-model-F16.gguf'
	say '## Text from it'
	run 'wf generate -m my-model-I2_S.gguf "What is the capital of France?"'
	run 'wf generate -m my-model-I2_S.gguf --threshold 0.5 "Count from 1 to 10."'
	run 'wf generate -m my-model-I2_S.gguf --infill "The capital of [[3]] is Paris." "What is the capital of France?"'
	run 'wf generate -m my-model-I2_S.gguf --show-steps "Count from 1 to 10." >answer.txt'
	say '## How good, how fast'
	run 'wf eval -m my-model-I2_S.gguf testdata/tinydlm/eval.jsonl --min 0.85'
	run 'wf bench -m my-model-I2_S.gguf -p 32,128 -n 32 -q'
	say '## Serve it'
	run 'wf serve -m my-model-I2_S.gguf 2>serve.log &'
	server=$!
	run 'curl -sf --retry 20 --retry-connrefused --retry-all-errors --retry-delay 1 http://127.0.0.1:30000/readyz'
	run "curl -s http://127.0.0.1:30000/v1/chat/completions -H 'Content-Type: application/json' -d '{\"messages\": [{\"role\": \"user\", \"content\": \"What is the capital of France?\"}]}'"
	run 'kill %1; wait %1; cat serve.log'
	server=
	say '## When something is wrong'
	run 'wf genrate Hello' 2
	run 'wf generate --treshold 0.5 Hello' 2
	run 'wf quantize my-model-F16.gguf TQ2_0' 3
	printf 'All commands together took %d.%d s.\n' $((total / 1000)) $((total % 1000 / 100))
} >"$work/page"
cp "$work/page" "$page"
