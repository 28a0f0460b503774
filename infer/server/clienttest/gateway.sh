#!/bin/sh
# A real gateway, sglang-router from PyPI, before two workers: gateway.sh WF. One worker is killed between requests; every request must be answered.
set -eu
wf=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install sglang-router
"$wf" -q serve --port 30601 2>"$work/1.log" &
first=$!
"$wf" -q serve --port 30602 2>"$work/2.log" &
pids="$first $!"
"$work/venv/bin/python" -m sglang_router.launch_router --worker-urls http://127.0.0.1:30601 http://127.0.0.1:30602 --policy round_robin \
  --host 127.0.0.1 --port 30600 >"$work/router.log" 2>&1 &
pids="$pids $!"
ask() {
  curl -s -m 20 http://127.0.0.1:30600/v1/chat/completions -H 'Content-Type: application/json' \
    -d '{"model":"default","messages":[{"role":"user","content":"What is the capital of France?"}]}' | grep -q 'The capital of France is Paris.'
}
tries=0
until ask; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { tail "$work/router.log"; exit 1; }
  sleep 1
done
answered=0
for i in $(seq 20); do
  [ "$i" != 11 ] || kill -9 "$first"
  ask || { echo "request $i was lost"; exit 1; }
  answered=$((answered + 1))
done
echo "$answered of 20 requests answered; one of two workers was killed after 10"
