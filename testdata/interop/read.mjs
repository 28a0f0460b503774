// Prints what @huggingface/gguf reads of a GGUF file, as JSON: node read.mjs NODE_MODULES FILE. An array is its length.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [, , modules, file] = process.argv;
const { gguf } = await import(pathToFileURL(createRequire(modules + '/x.js').resolve('@huggingface/gguf')));
const { metadata, tensorInfos } = await gguf(file, { allowLocalFile: true });
const own = new Set(['version', 'tensor_count', 'kv_count']); // the header, as the package presents it
const value = v => Array.isArray(v) ? v.length : typeof v === 'bigint' ? Number(v) : v;
console.log(JSON.stringify({
  metadata: Object.fromEntries(Object.entries(metadata).filter(([k]) => !own.has(k)).map(([k, v]) => [k, value(v)])),
  tensors: tensorInfos.map(t => ({ name: t.name, type: t.dtype, dims: t.shape.map(Number) })),
}));
