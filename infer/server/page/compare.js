import { newAnswer, run } from "./answer.js";
import { element, number } from "./dom.js";
import { requestOf } from "./settings.js";
import { Player, UnmaskView } from "./unmask.js";

// Two settings on the same prompt, side by side: first one answer, then the other, so that neither takes the other's time; then both step by step.

// What the two sides differ in until the user says otherwise.
const first = [{ mode: "iterative", threshold: "0.9" }, { mode: "greedy", threshold: "" }];

/** Comparison fills a section. It shares server and settings with the chat; props() is what the server says of its model, or null. */
export class Comparison {
  constructor(section, { server, settings, props, onproblem }) {
    Object.assign(this, { server, settings, props, onproblem });
    this.history = [];
    this.running = null;
    this.prompt = element("textarea", { id: "compare-prompt", rows: 2, required: true, onkeydown: (event) => this.key(event) });
    this.before = element("p", { class: "small", hidden: true });
    this.sides = first.map((values, i) => new Side("AB"[i], values));
    this.verdict = element("p", { class: "verdict", role: "status" });
    this.player = new Player({ onmove: (n) => this.sides.forEach((side) => side.view?.show(Math.min(n, side.answer.recording.steps.length))) });
    this.player.element.hidden = true;
    this.runButton = element("button", { type: "submit", class: "primary" }, "Compare");
    this.stopButton = element("button", { type: "button", class: "primary", hidden: true, onclick: () => this.stop() }, "Stop");
    this.form = element("form", { class: "compare-form" },
      element("h2", {}, "Two settings, one prompt"),
      element("label", { for: "compare-prompt" }, "Prompt"), this.prompt, this.before,
      element("div", { class: "sides" }, ...this.sides.map((side) => side.fields)),
      element("div", { class: "buttons" }, this.runButton, this.stopButton));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.run(); });
    section.append(this.form, this.verdict, element("div", { class: "sides" }, ...this.sides.map((side) => side.result)), this.player.element);
  }

  /** open shows the form with a question, to be asked after the messages of a conversation. */
  open(history, question) {
    this.history = history;
    this.before.hidden = !history.length;
    this.before.textContent = `Asked after the ${history.length} messages before it.`;
    if (question.trim()) this.prompt.value = question;
    this.prompt.focus();
  }

  stop() { this.running?.abort(); }

  key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  async run() {
    const props = this.props();
    if (this.running || !props || !this.prompt.value.trim()) return;
    this.running = new AbortController();
    this.runButton.hidden = true;
    this.stopButton.hidden = false;
    this.player.element.hidden = true;
    this.player.halt();
    this.sides.forEach((side) => side.clear());
    const { signal } = this.running;
    const messages = [...this.history, { role: "user", content: this.prompt.value.trim() }];
    for (const side of this.sides) {
      this.verdict.textContent = `${side.name} is answering.`;
      const request = requestOf({ ...this.settings, ...side.values() }, messages, props.diffusion?.Dialect);
      await side.run(this.server, request, { signal, pace: Number(this.settings.pace), blockSize: props.diffusion?.BlockSize ?? 32 });
      if (signal.aborted || side.answer.problem) break;
    }
    this.end();
  }

  /** end says how the answers compare and lets both be stepped through. */
  end() {
    this.running = null;
    this.runButton.hidden = false;
    this.stopButton.hidden = true;
    const [a, b] = this.sides.map((side) => side.answer);
    const problem = a.problem ?? b?.problem;
    if (problem) this.verdict.textContent = problem.message;
    else if (!a.stats || !b?.stats) this.verdict.textContent = "Stopped.";
    else this.verdict.textContent = compared(a, b);
    this.player.grow(Math.max(...this.sides.map((side) => side.answer?.recording.steps.length ?? 0)));
    this.player.element.hidden = this.player.length === 0;
    this.player.stop(this.player.length);
    if (["gone", "broken", "draining", "loading", "stalled", "key"].includes(problem?.kind)) this.onproblem(problem);
  }
}

/** compared says in a sentence what the figures come to. */
function compared(a, b) {
  const same = a.content === b.content ? "Both say the same" : "The answers differ";
  const steps = `A took ${a.stats.steps} denoise ${a.stats.steps === 1 ? "step" : "steps"}, B ${b.stats.steps}`;
  return `${same}. ${steps}; A settled ${number(a.stats.perStep)} tokens a step, B ${number(b.stats.perStep)}.`;
}

/** Side is one of the two settings, with what came of it. */
class Side {
  constructor(name, { mode, threshold }) {
    this.name = name;
    this.answer = null;
    this.view = null;
    this.mode = element("select", {}, element("option", { value: "" }, "model's own"),
      ...["iterative", "adaptive", "greedy", "auto"].map((value) => element("option", { selected: value === mode }, value)));
    this.threshold = element("input", { type: "number", min: 0, max: 1, step: "any", inputmode: "decimal", value: threshold, placeholder: "model's own" });
    this.fields = element("fieldset", {}, element("legend", {}, name), element("label", {}, "Mode ", this.mode), element("label", {}, "Threshold ", this.threshold));
    this.text = element("p", { class: "text" });
    this.result = element("article", { class: "side", "aria-label": `Answer ${name}`, hidden: true }, this.text);
  }

  values() { return { mode: this.mode.value, threshold: this.threshold.value }; }

  clear() {
    this.view?.element.remove();
    this.answer = this.view = null;
    this.text.textContent = "";
    this.result.hidden = true;
  }

  async run(server, request, { signal, pace, blockSize }) {
    this.answer = newAnswer(blockSize);
    this.view = new UnmaskView(this.answer.recording, { label: `How answer ${this.name} was written`, player: false });
    this.result.prepend(this.view.element);
    this.result.hidden = false;
    await run(server, request, this.answer, { signal, pace, onchange: () => {
      this.text.textContent = this.answer.content;
      this.view.grown();
      this.view.show(this.answer.recording.steps.length);
    } });
  }
}
