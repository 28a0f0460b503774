#!/bin/sh
# Converts a checkpoint, proves what came of it, and counts exact answers: a step of a pipeline that fails where a model is not what it should be.
#
#   convert-and-check.sh CHECKPOINT QUESTIONS MIN FOLDER
#
# FOLDER gets model.gguf, and eval.xml for the CI system to show. The exit status is that of the first wf that fails: docs/ci.md has them.
# Variables: WF, the binary (wf); OUTTYPE, the file's type (auto); MODES, decode modes that must all reach MIN (the model's own).
set -eu
if [ $# -ne 4 ]; then
	echo "usage: convert-and-check.sh CHECKPOINT QUESTIONS MIN FOLDER" >&2
	exit 2
fi
wf=${WF:-wf}
mkdir -p "$4"
rm -f "$4/model.gguf" "$4/eval.xml" # of an earlier run
"$wf" convert "$1" --outtype "${OUTTYPE:-auto}" -o "$4/model.gguf"
"$wf" verify "$4/model.gguf" --source "$1"
"$wf" eval -m "$4/model.gguf" "$2" --min "$3" ${MODES:+--modes "$MODES"} --junit "$4/eval.xml"
