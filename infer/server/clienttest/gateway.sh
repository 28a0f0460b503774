#!/bin/sh
# A real gateway, sglang-router from PyPI, before two workers of which one is killed: gateway.sh WF.
set -eu
wf=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install sglang-router
"$work/venv/bin/python" "$here/gateway.py" "$wf"
