import { element, icon, iconButton, number } from "./dom.js";

// The live view: a block of masked positions that is filled in step by step, while it happens and afterwards.
//
// A recording is plain data, and is what conversations keep:
//
//   prompt      [{id, text}] of the positions before the answer's first, as many as are known
//   start       the answer's first position; undefined: all of the prompt is known, or nothing of it
//   end         the position behind its last token; 0 while nobody knows
//   block_size  positions in a block
//   steps       [{event, block, sub, step, take: [{position, id, text, confidence}], at}], as in docs/api.md; at is milliseconds since the first
//   rate        tokens a second, as the server counted them; undefined if it did not
//
// A recording never changes but at its end, so "after n steps" says everything about what is shown.

const usualBlock = 32;

/** startOf finds where the answer starts: every masked position is filled in at some time. */
function startOf(recording) {
  if (recording.start !== undefined) return recording.start;
  if (recording.prompt?.length) return recording.prompt.length;
  return recording.steps.reduce((least, step) => Math.min(least, step.take[0].position), Infinity);
}

/** blockOf is the first position of the block that a step belongs to: a next token has none of its own and joins the aligned one. */
function blockOf(recording, step) {
  return step.event === "next" ? step.block - (step.block % (recording.block_size || usualBlock)) : step.block;
}

/** blocksOf are the first positions of the blocks that there have been, in order. */
function blocksOf(recording) {
  return [...new Set(recording.steps.map((step) => blockOf(recording, step)))];
}

/** tokensOf counts what a step filled in of the answer, without what lies behind its end. */
function tokensOf(recording, step) {
  return recording.end ? step.take.filter((take) => take.position < recording.end).length : step.take.length;
}

/** summary is what a recording comes to after n steps. */
function summary(recording, n) {
  const shown = recording.steps.slice(0, n);
  const passes = shown.filter((step) => step.event === "denoise").length;
  const tokens = shown.reduce((sum, step) => sum + tokensOf(recording, step), 0);
  const seconds = shown.length > 1 ? (shown.at(-1).at - shown[0].at) / 1000 : 0;
  const rate = recording.rate ?? (seconds > 0 ? (tokens - tokensOf(recording, shown[0])) / seconds : undefined); // while it comes: as steps arrive
  return { passes, tokens, perStep: passes ? tokens / passes : 0, rate };
}

/** sureness spreads confidences, most of which lie close to 1, over 0..1: 0.9 is at a quarter, 0.99 in the middle, 0.9999 at the end. */
function sureness(confidence) {
  return Math.min(1, Math.max(0, -Math.log10(Math.max(1 - confidence, 1e-9)) / 4));
}

const percent = (confidence) => `${(confidence * 100).toFixed(confidence > 0.999 ? 3 : confidence > 0.99 ? 2 : 1)} %`;
const controlName = (text) => /^<\|?([^<>|\s]+)\|?>$/.exec(text)?.[1]; // <|im_end|>, </s>
const visible = (text) => controlName(text) ?? (text.trim() || (text.includes("\n") ? "↵" : "␣"));

/**
 * Player moves along a number of steps: a slider, buttons, and play at a speed. While steps still come it is live, and playing beyond the last one is to
 * follow what comes. onmove(n) is told whenever the position changes, 0 to length; delay(n) says how many milliseconds lie between step n and the next
 * where the speed is "real".
 */
export class Player {
  constructor({ onmove, delay = null }) {
    this.onmove = onmove;
    this.delay = delay;
    this.length = 0;
    this.position = 0;
    this.live = false;
    this.following = false;
    this.timer = 0;
    const button = (name, label, action) => iconButton(name, label, action);
    this.playButton = button("play", "Play", () => this.toggle());
    this.slider = element("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Step", oninput: () => this.stop(Number(this.slider.value)) });
    this.speed = element("select", { "aria-label": "Speed", title: "Speed" });
    for (const [value, label] of [["1500", "slowest"], ["700", "slow"], ["350", "normal"], ["120", "fast"], ...(delay ? [["real", "as it was"]] : [])])
      this.speed.append(element("option", { value, selected: value === "350" }, label));
    this.element = element("div", { class: "player", role: "group", "aria-label": "Steps", onkeydown: (event) => this.key(event) },
      button("first", "To the start", () => this.stop(0)),
      button("previous", "Previous step", () => this.stop(this.position - 1)),
      this.playButton,
      button("next", "Next step", () => this.stop(this.position + 1)),
      button("last", "To the end", () => this.stop(this.length)),
      this.slider, this.speed);
  }

  /** grow says that there are more steps now; a player that follows goes to the last. */
  grow(length) {
    this.length = length;
    this.slider.max = length;
    if (this.following) this.move(length);
    else this.update();
  }

  /** begin follows what comes. */
  begin() {
    this.live = this.following = true;
    this.move(this.length);
  }

  /** end says that no more will come. */
  end() {
    this.live = this.following = false;
    this.update();
  }

  /** stop ends playing and following, at a step. */
  stop(position = this.position) {
    this.following = false;
    this.halt();
    this.move(position);
  }

  toggle() {
    if (this.timer || this.following) return this.stop();
    if (this.position < this.length) return this.schedule();
    if (this.live) return this.begin();
    this.move(0);
    this.schedule();
  }

  halt() {
    clearTimeout(this.timer);
    this.timer = 0;
  }

  schedule() {
    const pause = this.speed.value === "real" ? this.delay(this.position) : Number(this.speed.value);
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (this.position + 1 < this.length) this.schedule();
      else this.following = this.live;
      this.move(this.position + 1);
    }, pause);
    this.update();
  }

  move(position) {
    this.position = Math.max(0, Math.min(position, this.length));
    this.update();
    this.onmove(this.position);
  }

  update() {
    const running = this.timer !== 0 || this.following;
    this.slider.value = this.position;
    this.slider.setAttribute("aria-valuetext", `${this.position} of ${this.length}`);
    if (this.playButton.dataset.running !== String(running)) {
      this.playButton.dataset.running = running;
      this.playButton.replaceChildren(icon(running ? "pause" : "play"));
      this.playButton.setAttribute("aria-label", running ? "Pause" : "Play");
      this.playButton.title = running ? "Pause" : "Play";
    }
  }

  key(event) {
    if (event.target === this.speed || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: () => this.stop(this.position - 1), ArrowRight: () => this.stop(this.position + 1), Home: () => this.stop(0), End: () => this.stop(this.length) };
    if (event.key === " " && event.target === this.slider) moves[" "] = () => this.toggle();
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  }
}

/**
 * UnmaskView shows a recording after any number of its steps. Its own Player chooses the number, or, with player: false, whoever calls show.
 * Call grown when steps were added to the recording or it has ended. timed: false is of a recording without times.
 */
export class UnmaskView {
  constructor(recording, { label = "How the answer was written", player = true, timed = true } = {}) {
    this.recording = recording;
    this.timed = timed;
    this.shown = -1;
    this.cells = [];
    this.bars = [];
    this.maps = new Map(); // first position of a block -> its squares in the overview
    this.heading = element("p", { class: "unmask-heading" });
    this.figures = element("dl", { class: "unmask-figures" });
    this.grid = element("ol", { class: "block", "aria-label": "Block", onpointerover: (event) => this.tell(event), onpointerleave: () => this.tell(null), onclick: (event) => this.tell(event) });
    this.overview = element("div", { class: "overview", role: "group", "aria-label": "Blocks", hidden: true });
    this.histogram = element("div", { class: "histogram", "aria-hidden": "true", title: "Tokens that each step settled", onclick: (event) => this.jump(event) });
    this.detail = element("p", { class: "unmask-detail" });
    this.table = element("details", { class: "unmask-table", ontoggle: () => this.list() }, element("summary", {}, "Every step as a table"));
    this.player = player ? new Player({ onmove: (n) => this.show(n), delay: timed ? (n) => this.gap(n) : null }) : null;
    this.element = element("section", { class: "unmask", "aria-label": label },
      element("header", {}, this.heading, this.figures), this.grid, this.histogram, this.player?.element ?? null, this.overview,
      element("footer", {}, this.detail, legend()), this.table);
    this.grown();
    if (this.player) this.player.stop(recording.steps.length);
    else this.show(recording.steps.length);
  }

  /** grown takes over what was added to the recording. */
  grown() {
    const { steps } = this.recording;
    while (this.bars.length < steps.length) {
      const bar = element("span", { class: "bar" });
      this.bars.push(bar);
      this.histogram.append(bar);
    }
    const counts = steps.map((step) => tokensOf(this.recording, step));
    const most = Math.max(1, ...counts);
    counts.forEach((count, i) => this.bars[i].style.setProperty("--height", count / most));
    const shown = this.shown;
    this.shown = -1; // the recording's end may have changed what is shown of a step
    if (this.player) this.player.grow(steps.length);
    if (this.shown < 0 && shown >= 0) this.show(shown);
    if (this.table.open) this.list();
  }

  /** gap is the time between two steps as it was. */
  gap(n) {
    const { steps } = this.recording;
    return n > 0 && n < steps.length ? Math.min(5000, steps[n].at - steps[n - 1].at) : 0;
  }

  /** show draws the recording after n steps. */
  show(n) {
    if (n === this.shown) return;
    this.shown = n;
    const { recording } = this;
    const size = recording.block_size || usualBlock;
    const current = recording.steps[n - 1];
    const upcoming = current ?? recording.steps[0];
    const first = upcoming ? blockOf(recording, upcoming) : (recording.start ?? 0) - ((recording.start ?? 0) % size);
    const start = recording.steps.length || recording.start !== undefined ? startOf(recording) : 0;
    const filled = new Set(recording.steps.flatMap((step) => step.take.map((take) => take.position))); // at some time, holes in the prompt among them
    const given = (position) => position < start && !filled.has(position);
    const settled = new Map(); // position -> [take, number of its step]
    recording.steps.slice(0, n).forEach((step, i) => step.take.forEach((take) => settled.set(take.position, [take, i + 1])));

    this.resize(size);
    this.cells.forEach((cell, i) => this.fill(cell, first + i, given(first + i) ? recording.prompt?.[first + i - start + recording.prompt.length] ?? {} : null, settled.get(first + i), n));
    const sub = current?.sub ?? null;
    const behind = sub + this.subSize();
    this.cells.forEach((cell, i) => { cell.dataset.here = sub === null ? "" : i >= sub && i < behind ? "here" : "there"; });
    this.bars.forEach((bar, i) => { bar.dataset.state = i + 1 === n ? "now" : i < n ? "past" : "coming"; });
    this.map(first, size, given, settled);
    this.describe(n, first, size);
  }

  /** subSize is the number of positions in a sub-block: the steps name where theirs begin. */
  subSize() {
    const { recording } = this;
    const offsets = recording.steps.map((step) => step.sub).filter((sub) => sub > 0);
    const one = offsets.reduce((a, b) => { while (b) [a, b] = [b, a % b]; return a; }, recording.block_size || usualBlock); // greatest common divisor
    return offsets.length ? one : recording.block_size || usualBlock;
  }

  resize(size) {
    if (this.cells.length === size) return;
    this.cells = Array.from({ length: size }, () => element("li", { class: "cell" }, element("span", { class: "piece" })));
    this.grid.replaceChildren(...this.cells);
  }

  /** fill draws one position: one of the prompt's, with its token as far as it is known, or one that is filled in at some time. */
  fill(cell, position, given, settled, n) {
    const { end } = this.recording;
    const piece = cell.firstChild;
    let state = "mask";
    if (given) state = "prompt";
    else if (end && position >= end) state = settled ? "past" : "off";
    else if (settled) state = settled[1] === n ? "new" : "settled";
    const known = (given ?? settled?.[0])?.text;
    const text = known !== undefined && state !== "past" ? visible(known) : "";
    cell.dataset.position = position;
    cell.dataset.state = state;
    cell.dataset.kind = known === undefined ? "" : controlName(known) ? "control" : /^\s/.test(known) ? "word" : "joined";
    cell.dataset.length = text.length > 11 ? "long" : text.length > 8 ? "wide" : text.length > 5 ? "word" : "";
    if (piece.textContent !== text) piece.textContent = text;
    const confidence = settled?.[0].confidence;
    cell.dataset.unknown = settled !== undefined && typeof confidence !== "number" ? "unknown" : "";
    if (typeof confidence === "number") cell.style.setProperty("--sure", sureness(confidence).toFixed(3));
    if (state === "mask") cell.setAttribute("aria-label", "masked");
    else cell.removeAttribute("aria-label");
  }

  /** map draws the blocks side by side, small, once there are several. */
  map(first, size, given, settled) {
    const { recording } = this;
    const blocks = blocksOf(recording);
    this.overview.hidden = blocks.length < 2;
    if (blocks.length < 2) return;
    for (const block of blocks) {
      let squares = this.maps.get(block);
      if (!squares) {
        squares = Array.from({ length: size }, () => element("span", { class: "square" }));
        const number = this.maps.size + 1;
        const jump = () => this.go(recording.steps.findLastIndex((step) => blockOf(recording, step) === block) + 1);
        const button = element("button", { type: "button", class: "mini", "aria-label": `Block ${number}`, title: `Block ${number}`, disabled: !this.player, onclick: jump }, ...squares);
        this.overview.append(button);
        this.maps.set(block, squares);
      }
      const button = squares[0].parentNode;
      if (block === first) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      squares.forEach((square, i) => {
        const at = settled.get(block + i);
        square.dataset.state = given(block + i) ? "prompt" : recording.end && block + i >= recording.end ? "off" : at ? "settled" : "mask";
        if (at) square.style.setProperty("--sure", typeof at[0].confidence === "number" ? sureness(at[0].confidence).toFixed(2) : 0.5);
      });
    }
  }

  /** describe writes what the picture shows in words and figures. */
  describe(n, first, size) {
    const { recording } = this;
    const step = recording.steps[n - 1];
    const blocks = blocksOf(recording);
    const masks = this.cells.filter((cell) => cell.dataset.state === "mask").length;
    const { passes, perStep, rate } = summary(recording, n);
    const total = recording.steps.filter((step) => step.event === "denoise").length;
    const count = step && tokensOf(recording, step);
    const tokens = `${count} ${count === 1 ? "token" : "tokens"}`;
    const what = !step ? "All is masked" :
      { denoise: `${tokens} settled`, next: "The next token", fill: `${tokens} filled in with the best guesses` }[step.event];
    this.heading.textContent = blocks.length > 1 ? `Block ${blocks.indexOf(first) + 1} of ${blocks.length}` : "Block";
    this.grid.setAttribute("aria-label", `Positions ${first} to ${first + size - 1}: ${masks} masked`);
    const steps = total || !n ? [["denoise steps", `${passes} / ${total}`], ["tokens a step", passes ? number(perStep) : "–"]] : [["tokens", `${n} / ${recording.steps.length}`]];
    const speed = this.timed ? [["tokens/s", rate ? number(rate) : "–"]] : [];
    this.facts([...steps, ...speed, ["masked", String(masks)]]);
    this.words = !recording.steps.length ? "Waiting for the first step." : `${n} of ${recording.steps.length}: ${what}${masks ? `, ${masks} masked` : ""}.`;
    this.detail.textContent = this.words;
    if (this.player) this.detail.setAttribute("aria-live", this.player.following || this.player.timer ? "off" : "polite");
  }

  facts(all) {
    this.figures.replaceChildren(...all.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  }

  /** tell says of the position under the pointer what was taken there. */
  tell(event) {
    const cell = event?.target.closest?.(".cell");
    const position = Number(cell?.dataset.position);
    for (let i = this.shown - 1; cell && i >= 0; i--) {
      const take = this.recording.steps[i].take.find((take) => take.position === position);
      if (!take) continue;
      const sure = typeof take.confidence === "number" ? `, ${percent(take.confidence)} sure` : "";
      this.detail.textContent = `“${take.text}”${sure}: position ${position}, token ${take.id}, step ${i + 1}`;
      return;
    }
    this.detail.textContent = this.words;
  }

  go(n) { this.player?.stop(n); }

  /** jump goes to the step whose bar was clicked. */
  jump(event) {
    const i = this.bars.indexOf(event.target);
    if (i >= 0) this.go(i + 1);
  }

  /** list writes the table, which says in words all that the colours say. */
  list() {
    this.table.querySelector("table")?.remove();
    if (!this.table.open) return;
    const rows = this.recording.steps.map((step, i) => element("tr", {},
      element("th", { scope: "row" }, String(i + 1)), element("td", {}, step.event), element("td", {}, String(blockOf(this.recording, step))),
      element("td", {}, step.take.map((take) => `${JSON.stringify(take.text)}${typeof take.confidence === "number" ? ` ${percent(take.confidence)}` : ""}`).join(", "))));
    this.table.append(element("table", {},
      element("thead", {}, element("tr", {}, ...["step", "event", "block", "tokens and confidence"].map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...rows)));
  }
}

/** legend explains the colours. */
function legend() {
  return element("p", { class: "legend" }, element("span", { class: "legend-mask", "aria-hidden": "true" }), "masked",
    element("span", { class: "legend-from" }, "50 %"), element("span", { class: "legend-scale", "aria-hidden": "true" }), "99.99 % sure");
}
