import { isStop, Problem } from "./api.js";

// One answer while it comes: what the chat shows of it, what a comparison shows of it, and what a conversation keeps.
//
//   role       assistant
//   content    what has settled, in order
//   recording  its passes, for the live view (unmask.js)
//   finish     stop, length, or stopped by the user; "" while it comes, or if it failed
//   stats      {tokens, steps, perStep, rate, seed, unused}, once it is complete
//   problem    {kind, message, code, requestID} if it failed

const sleep = (ms, signal) => new Promise((done) => {
  if (signal.aborted) return done();
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

const round = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;

/** newAnswer is an answer before anything has come of it. */
export function newAnswer(blockSize) {
  return { role: "assistant", content: "", finish: "", recording: { prompt: [], start: undefined, end: 0, block_size: blockSize, steps: [] } };
}

/**
 * run asks for an answer and fills it in. onchange is called whenever there is more of it. With a pace above 0, steps and the text that they settle appear so many
 * milliseconds apart, though the server is read as fast as it writes. It ends without an error; answer.problem has what went wrong.
 */
export async function run(server, request, answer, { signal, pace, onchange }) {
  const { recording } = answer;
  let shown = Promise.resolve();
  let began = 0;
  const show = (event) => {
    if (event.step) recording.steps.push(event.step);
    if (event.text) answer.content += event.text;
    if (event.finish) answer.finish = event.finish;
    if (event.report) complete(answer, event);
    onchange();
  };
  try {
    const prompt = await server.prompt(request.messages, signal);
    Object.assign(recording, { prompt: prompt.slice(-recording.block_size), start: prompt.length });
    onchange();
    for await (const event of server.chat(request, signal)) {
      if (event.step) {
        began ||= performance.now();
        event.step = kept(event.step, performance.now() - began);
      }
      shown = shown.then(() => show(event)).then(() => (event.step && pace ? sleep(pace, signal) : null));
    }
    await shown;
  } catch (error) {
    await shown;
    if (isStop(error)) {
      answer.finish = "stopped";
    } else {
      if (!(error instanceof Problem)) console.error(error); // a mistake of this page
      const { kind = "broken", message, code, requestID, retryAfter } = error;
      answer.problem = { kind, message, code, requestID, retryAfter };
    }
  }
  onchange();
}

/** kept is what a recording has of a wf.step event. */
function kept({ event, block, sub, step, take }, at) {
  return { event, block, sub, step, at: round(at, 1), take: take.map(({ position, id, text, confidence }) => ({ position, id, text, confidence: round(confidence, 6) })) };
}

function complete(answer, { usage, report }) {
  const [stats] = report.stats;
  const steps = (stats.passes["denoise block"] ?? 0) + (stats.passes["denoise sub-block"] ?? 0);
  answer.recording.end = usage.prompt_tokens + usage.completion_tokens;
  answer.recording.rate = stats.tokens_per_second;
  answer.stats = { tokens: usage.completion_tokens, steps, perStep: stats.tokens_per_step, rate: stats.tokens_per_second, seed: String(report.seed), unused: report.unused_fields };
}
