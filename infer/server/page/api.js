// Requests to the server that this page came from: docs/api.md.

/** Problem is why there is no answer, or no whole one. kind says what the page does about it; message is for people. */
export class Problem extends Error {
  constructor(kind, message, { code = "", requestID = "", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { kind, code, requestID, retryAfter });
  }
}

// What the page waits for, by the server's codes. Any other error is "refused": trying again would not help.
const kinds = {
  invalid_api_key: "key", loading: "loading", draining: "draining", stalled: "stalled", overloaded: "busy", memory_limit: "busy",
};

const gone = () => new Problem("gone", "The server does not answer.");
const broken = () => new Problem("broken", "The connection ended before the answer did.");

/** problemOf reads OpenAI's shape of errors. */
function problemOf(body, retryAfter = 0) {
  const { message = "The server answered with an error.", code = "", request_id: requestID = "" } = body?.error ?? {};
  return new Problem(kinds[code] ?? "refused", message, { code, requestID, retryAfter });
}

/** isStop tells the user's own stop from a failure. */
export const isStop = (error) => error.name === "AbortError";

/** Server is the one that this page came from, with the key that it may want. */
export class Server {
  constructor() {
    this.key = "";
  }

  /** ask sends a request and returns the reply if it is good. */
  async ask(path, { body, signal } = {}) {
    const headers = {};
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    if (body) headers["Content-Type"] = "application/json";
    let reply;
    try {
      reply = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal, cache: "no-store", credentials: "omit", redirect: "error" });
    } catch (error) {
      throw isStop(error) ? error : gone();
    }
    if (reply.ok) return reply;
    throw problemOf(await reply.json().catch(() => null), Number(reply.headers.get("Retry-After")) || 0);
  }

  async json(path, options) {
    const reply = await this.ask(path, options);
    return reply.json().catch((error) => { throw isStop(error) ? error : broken(); });
  }

  /** ready resolves once the server would answer, and otherwise says why it would not. */
  ready() { return this.json("readyz"); }

  /** props are the model's name and defaults. */
  props() { return this.json("props"); }

  /** prompt returns the tokens that the chat template makes of messages: [{id, text}]. */
  async prompt(messages, signal) {
    const { prompt, tokens: ids } = await this.json("apply-template", { body: { messages, add_generation_prompt: true }, signal });
    const { tokens } = await this.json("tokenize", { body: { content: prompt, parse_special: true, with_pieces: true }, signal });
    const before = ids.length - tokens.length; // a token that stands before every prompt has no text
    return ids.map((id, i) => ({ id, text: tokens[i - before]?.piece ?? "" }));
  }

  /**
   * chat streams an answer: {step} for each pass, {text} as it settles, and last {usage, report}, with report the member "wf" of the reply, and
   * {finish} before them.
   */
  async *chat(request, signal) {
    const reply = await this.ask("v1/chat/completions", { body: request, signal });
    for await (const data of events(reply.body)) {
      if (data === "[DONE]") return;
      const value = JSON.parse(data);
      if (value.error) throw problemOf(value);
      if (value.object === "wf.step") yield { step: value };
      for (const choice of value.choices) {
        if (choice.delta?.content) yield { text: choice.delta.content };
        if (choice.finish_reason) yield { finish: choice.finish_reason };
      }
      if (value.usage) yield { usage: value.usage, report: value.wf };
    }
    throw broken();
  }
}

/** events reads the data of server-sent events. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      throw isStop(error) ? error : broken();
    }
    if (part.done) return;
    const whole = (text + part.value).split("\n\n");
    text = whole.pop();
    for (const event of whole) {
      const data = event.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data) yield data;
    }
  }
}
