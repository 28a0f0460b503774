#!/bin/sh
# Chromium against the page of wf serve: run.sh WF. Writes docs/pictures. Installs Debian's Chromium and the fonts of the pictures where they are missing.
set -eu
wf=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")"
if ! command -v chromium >/dev/null; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-inter fonts-texgyre fonts-liberation
fi
WF_BINARY=$wf go test -count 1 .
