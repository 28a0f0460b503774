// Times wf and llama.cpp side by side on one random model of the 2B shape, in turn, and prints the medians as Markdown.
//
//	node docs/performance/peers.mjs [WORK]      (make peers; needs Go, Node 20, npm, 4 GB of disk in WORK)
//
// llama.cpp is the library that the npm package node-llama-cpp carries, prebuilt for this processor; it is installed into WORK. Both run the same
// weights: I2_S in wf, TQ2_0 in llama.cpp, which has no I2_S; embedding and head in Q8_0. ROUNDS (3) and THREADS (2) come from the environment.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const prompts = [8, 32, 128, 512], generated = 32;
const tests = [...prompts.map(n => `pp${n}`), `tg${generated}`];
const threads = Number(process.env.THREADS ?? 2), rounds = Number(process.env.ROUNDS ?? 3);
const work = resolve(process.argv[2] ?? mkdtempSync(join(tmpdir(), 'wf-peers-')));

if (process.argv[3] === 'llama.cpp') await measureLlama(process.argv[4]);
else compare();

// compare runs both, round by round, each in a process of its own.
function compare() {
  const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
  mkdirSync(work, { recursive: true });
  const call = (command, args, cwd = work) => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 26 });
  const wf = join(work, 'wf'), i2s = join(work, '2b-I2_S.gguf'), tq2 = join(work, '2b-TQ2_0.gguf');
  call('go', ['build', '-o', wf, './cmd/wf'], root);
  if (!existsSync(join(work, 'node_modules/node-llama-cpp'))) call('npm', ['install', '--no-fund', '--ignore-scripts', 'node-llama-cpp@3.22.1']);
  if (!existsSync(i2s)) call(wf, ['bench', '--synthetic', 'bitnet-2b', '--save', i2s]);
  if (!existsSync(tq2)) call(wf, ['-q', 'quantize', i2s, tq2, 'TQ2_0', '--token-embedding-type', 'q8_0']);

  const samples = { wf: {}, 'llama.cpp': {} };
  const add = (who, test, rate) => (samples[who][test] ??= []).push(rate);
  let kernel = '';
  for (let round = 1; round <= rounds; round++) {
    console.error(`round ${round} of ${rounds}`);
    for (const line of call(wf, ['-q', 'bench', '-m', i2s, '-t', `${threads}`, '-p', prompts.join(), '-n', `${generated}`, '-r', '1', '--max-tokens', '0', '-o', 'jsonl']).trim().split('\n')) {
      const row = JSON.parse(line);
      kernel = row.kernel;
      add('wf', row.test, row.median_ts);
    }
    for (const line of call(process.execPath, [fileURLToPath(import.meta.url), work, 'llama.cpp', tq2]).trim().split('\n')) {
      const row = JSON.parse(line);
      add('llama.cpp', row.test, row.rate);
    }
  }
  const median = a => { const s = [...a].sort((x, y) => x - y), m = s.length; return (s[(m - 1) >> 1] + s[m >> 1]) / 2; };
  console.log(`${threads} threads, wf's kernel ${kernel}, medians of ${rounds} rounds\n`);
  console.log('| test | wf tokens/s | llama.cpp tokens/s | wf / llama.cpp, median (each round) |\n| --- | ---: | ---: | --- |');
  for (const test of tests) {
    const a = samples.wf[test], b = samples['llama.cpp'][test], ratios = a.map((v, i) => v / b[i]);
    console.log(`| ${test} | ${median(a).toFixed(1)} | ${median(b).toFixed(1)} | ${median(ratios).toFixed(2)} (${ratios.map(r => r.toFixed(2)).join(', ')}) |`);
  }
}

// measureLlama prints a line for each test: one run to warm up, one that counts.
async function measureLlama(model) {
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(join(work, 'node_modules/node-llama-cpp/dist/index.js')));
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads });
  const context = await (await llama.loadModel({ modelPath: model })).createContext({ contextSize: 1024, batchSize: 512, threads, sequences: 1 });
  const sequence = context.getSequence();
  const ids = n => Array.from({ length: n }, (_, i) => (i * 7919 + 100) % 9000);
  const report = (test, tokens, ms) => console.log(JSON.stringify({ test, rate: tokens / ms * 1000 }));
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
