#!/bin/sh
# The official Python and Node clients against wf serve: clients.sh WF. Fetches both from their registries into a temporary folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
wf=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
pid=
trap 'test -z "$pid" || kill "$pid"; rm -rf "$work"' EXIT
port=${PORT:-30555}
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install openai requests
cp "$here/client.mjs" "$work"
(cd "$work" && npm install --silent openai)
"$wf" -q serve --port "$port" &
pid=$!
until curl -sf "http://127.0.0.1:$port/readyz" >/dev/null; do kill -0 "$pid" && sleep 0.1; done
"$work/venv/bin/python" "$here/client.py" "http://127.0.0.1:$port"
node "$work/client.mjs" "http://127.0.0.1:$port"
