// The official Node client against wf serve: node client.mjs URL. Needs openai from npm.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const answer = "The capital of France is Paris.";
let checks = 0;

function check(what, ok) {
  checks++;
  if (!ok) {
    console.error("failed: " + what);
    process.exit(1);
  }
}
const ask = (more, options) => client.chat.completions.create({ model: "default", messages, ...more }, options);
const text = async (more) => (await ask(more)).choices[0].message.content;
async function raises(what, kind, more, options) {
  try {
    await ask(more, options);
  } catch (e) {
    return check(`${what}: ${e}`, e instanceof kind);
  }
  check(what, false);
}

const whole = await ask();
check("chat", whole.choices[0].message.content === answer && whole.usage.total_tokens === 29);
let streamed = "";
for await (const chunk of await ask({ stream: true })) streamed += chunk.choices[0].delta.content ?? "";
check("stream", streamed === answer);
let last;
for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true } })) last = chunk;
check("usage in a stream", last.usage.completion_tokens === 12 && last.choices.length === 0);
let steps = 0;
for await (const chunk of await ask({ stream: true, diffusion: { stream_steps: true } })) if (chunk.object === "wf.step") steps++;
check("steps", steps === 2);
check("stop", (await text({ stop: " is" })) === "The capital of France");
check("n", (await ask({ n: 3 })).choices.length === 3);
check("length", (await ask({ max_tokens: 2 })).choices[0].finish_reason === "length");
check("max_completion_tokens", (await ask({ max_completion_tokens: 2 })).usage.completion_tokens === 2);
check("seed", (await text({ temperature: 1, seed: 5 })) === (await text({ temperature: 1, seed: 5 })));
check("logprobs", (await ask({ logprobs: true, top_logprobs: 2 })).choices[0].logprobs.content.map((t) => t.token).join("") === answer);
check("logit_bias", !(await text({ logit_bias: { 574: -100 } })).includes("Paris"));
check("penalties", (await text({ presence_penalty: 0.1, frequency_penalty: 0.1, repetition_penalty: 1.1 })).length > 0);
check("models", (await client.models.list()).data[0].id === "wf-tiny");
check("one model", (await client.models.retrieve("default")).id === "wf-tiny");
check("completions", (await client.completions.create({ model: "default", prompt: "Hello", max_tokens: 4 })).usage.completion_tokens === 4);
await raises("400", OpenAI.BadRequestError, { temperature: 9 });
await raises("404", OpenAI.NotFoundError, { model: "gpt-9" });
await raises("no messages", OpenAI.BadRequestError, { messages: [] });
await raises("too long", OpenAI.BadRequestError, { max_tokens: 100000 });
await raises("tools", OpenAI.BadRequestError, { tools: [{ type: "function", function: { name: "f" } }] });
await raises("timeout", OpenAI.APIConnectionTimeoutError, { n: 100 }, { timeout: 1 });
const cancelled = await ask({ stream: true, n: 50 });
for await (const _ of cancelled) break;
check("cancel, and an answer after it", (await text()) === answer);
console.log(`${checks} checks passed`);
