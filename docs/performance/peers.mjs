// Times wf and other programs on one random model of the 2B shape, in turn, and prints the medians as Markdown.
//
//	node docs/performance/peers.mjs [WORK]      (make peers; needs Go, Node 20, npm, 10 GB of disk in WORK)
//
// llama.cpp is the library that the npm package node-llama-cpp carries, prebuilt for this processor; it is installed into WORK. ik_llama.cpp takes
// part if IK_BIN names the folder of its llama-bench and llama-quantize, release builds for this processor.
//
// All run the same network: I2_S in wf, TQ2_0 in llama.cpp, which has no I2_S, IQ2_BN with run-time repack in ik_llama.cpp; embedding and head in
// Q8_0. ik_llama.cpp gets it as its own architecture for it, bitnet-b1.58, which llama.cpp does not read. ROUNDS (3), THREADS (2) and PROMPTS (8,32,128,512) come from the environment.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const prompts = (process.env.PROMPTS ?? '8,32,128,512').split(',').map(Number), generated = 32;
const tests = [...prompts.map(n => `pp${n}`), `tg${generated}`];
const threads = Number(process.env.THREADS ?? 2), rounds = Number(process.env.ROUNDS ?? 3);
const work = resolve(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'wf-peers-')));

if (process.argv[3] === 'llama.cpp') await measureLlama(process.argv[4]);
else compare();

// compare runs all programs, round by round, each in a process of its own that warms up before each test that counts.
function compare() {
  const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
  mkdirSync(work, { recursive: true });
  const call = (command, args, options) =>
    execFileSync(command, args.map(String), { cwd: work, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26, ...options });
  const lines = text => text.trim().split('\n').map(line => JSON.parse(line));
  const make = (file, f) => { const path = join(work, file); if (!existsSync(path)) f(path); return path; };
  const wf = join(work, 'wf');
  call('go', ['build', '-o', wf, './cmd/wf'], { cwd: root });
  const i2s = make('2b-I2_S.gguf', path => call(wf, ['bench', '--synthetic', 'bitnet-2b', '--save', path]));
  const sizes = ['-t', threads, '-p', prompts.join(), '-n', generated, '-r', 1];

  const programs = { wf: () => lines(call(wf, ['-q', 'bench', '-m', i2s, ...sizes, '--max-tokens', 0, '-o', 'jsonl'])).map(r => [r.test, r.median_ts]) };
  make('node_modules/node-llama-cpp', () => call('npm', ['install', '--no-fund', '--ignore-scripts', 'node-llama-cpp@3.22.1']));
  const tq2 = make('2b-TQ2_0.gguf', path => call(wf, ['-q', 'quantize', i2s, path, 'TQ2_0', '--token-embedding-type', 'q8_0']));
  programs['llama.cpp'] = () => lines(call(process.execPath, [fileURLToPath(import.meta.url), work, 'llama.cpp', tq2]));
  if (process.env.IK_BIN) {
    const iq2 = make('2b-IQ2_BN.gguf', path => {
      const checkpoint = make('2b', path => call(wf, ['-q', 'bench', '--synthetic', 'bitnet-2b', '--as-checkpoint', path]));
      const f16 = make('2b-F16.gguf', path => call(wf, ['-q', 'convert', checkpoint, '--outtype', 'f16', '-o', path]));
      call(join(process.env.IK_BIN, 'llama-quantize'), ['--token-embedding-type', 'q8_0', f16, path, 'IQ2_BN', threads], { stdio: 'ignore' });
    });
    const measure = () => call(join(process.env.IK_BIN, 'llama-bench'), ['-m', iq2, ...sizes, '-rtr', 1, '-o', 'json'], { stdio: ['ignore', 'pipe', 'ignore'] });
    programs['ik_llama.cpp'] = () => JSON.parse(measure().replace(/^WARNING.*$/gm, '')).map(r => [r.n_gen ? `tg${r.n_gen}` : `pp${r.n_prompt}`, r.avg_ts]);
  }

  const rates = {}; // of a program and a test, by round
  for (let round = 1; round <= rounds; round++) {
    for (const [name, measure] of Object.entries(programs)) {
      console.error(`round ${round} of ${rounds}: ${name}`);
      for (const [test, rate] of measure()) ((rates[name] ??= {})[test] ??= []).push(rate);
    }
  }
  const median = a => { const s = [...a].sort((x, y) => x - y), m = s.length; return (s[(m - 1) >> 1] + s[m >> 1]) / 2; };
  const peers = Object.keys(programs).slice(1);
  console.log(`${threads} threads, medians of ${rounds} rounds, tokens/s; behind each peer wf's rate over the peer's, as median and in each round\n`);
  console.log(`| test | wf | ${peers.map(p => `${p} | wf / ${p}`).join(' | ')} |\n| --- | ---: |${' ---: | --- |'.repeat(peers.length)}`);
  for (const test of tests) {
    const cells = peers.map(p => {
      const ratios = rates.wf[test].map((v, i) => v / rates[p][test][i]);
      return `${median(rates[p][test]).toFixed(1)} | **${median(ratios).toFixed(2)}** (${ratios.map(r => r.toFixed(2)).join(', ')})`;
    });
    console.log(`| ${test} | ${median(rates.wf[test]).toFixed(1)} | ${cells.join(' | ')} |`);
  }
}

// measureLlama prints a line for each test: one run to warm up, one that counts.
async function measureLlama(model) {
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(work, 'node_modules/node-llama-cpp/dist/index.js')));
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads });
  const context = await (await llama.loadModel({ modelPath: model })).createContext({ contextSize: 1024, batchSize: 512, threads, sequences: 1 });
  const sequence = context.getSequence();
  const ids = n => Array.from({ length: n }, (_, i) => (i * 7919 + 100) % 9000);
  const report = (test, tokens, ms) => console.log(JSON.stringify([test, tokens / ms * 1000]));
  for (const n of prompts) {
    for (const counts of [false, true]) {
      await sequence.clearHistory();
      const began = performance.now();
      await sequence.evaluateWithoutGeneratingNewTokens(ids(n));
      if (counts) report(`pp${n}`, n, performance.now() - began);
    }
  }
  await sequence.clearHistory();
  let seen = 0, began = 0; // the first token comes with the prompt
  for await (const _ of sequence.evaluate(ids(4), { temperature: 0, yieldEogToken: true })) {
    if (seen++ === 0) began = performance.now();
    if (seen > generated) break;
  }
  report(`tg${generated}`, seen - 1, performance.now() - began);
  process.exit(0);
}
