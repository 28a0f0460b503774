// Prints the most likely next token behind each prefix of some ids, as llama.cpp (the library that node-llama-cpp carries) computes it:
// node argmax.mjs NODE_MODULES MODEL ID...
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [, , modules, model, ...ids] = process.argv;
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(createRequire(modules + '/x.js').resolve('node-llama-cpp')));
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 2 });
const context = await (await llama.loadModel({ modelPath: model })).createContext({ contextSize: 128, batchSize: 128, threads: 2, sequences: 1 });
const next = { generateNext: { token: true, options: { temperature: 0 } } };
const out = await context.getSequence().controlledEvaluate(ids.map(id => [Number(id), next]));
console.log(JSON.stringify(out.map(o => o.next.token)));
process.exit(0);
