import { newAnswer, run } from "./answer.js";
import { Server } from "./api.js";
import { Comparison } from "./compare.js";
import { element, iconButton, number } from "./dom.js";
import { defaults, requestOf, SettingsDialog } from "./settings.js";
import * as store from "./store.js";
import { UnmaskView } from "./unmask.js";

// The chat: what is typed, asked, shown and kept.

const $ = (id) => document.getElementById(id);
const [log, prompt, composer, sendButton, stopButton, state, drawer] = ["log", "prompt", "composer", "send-button", "stop-button", "state", "drawer"].map($);

const server = new Server();
const settings = store.readSettings(defaults);
let props = null; // what the server says of its model; null until it has said it
let conversation = blank();
let running = null; // the AbortController of the answer that comes now

function blank() { return { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), changed: 0, messages: [] }; }

// ---- the server's state ----

const waitTexts = {
  loading: "The model is being loaded. This page goes on by itself.",
  stalled: "The model is not answering at the moment. This page goes on when it does.",
  draining: "The server is shutting down and takes no new questions.",
  gone: "The server does not answer. What you see is kept in this browser; this page goes on when it is back.",
  key: "This server wants a key.",
};

/** say shows one line above the prompt, with a button at most; no text takes it away. */
function say(text = "", kind = "", action = null) {
  state.dataset.kind = kind;
  state.replaceChildren(...(text ? [element("span", {}, text)] : []), ...(action ? [action] : []));
  state.hidden = !text;
}

let waiting = 0;

/** connect finds out whose model this is, and waits as long as the server is not ready. */
async function connect() {
  clearTimeout(waiting);
  try {
    await server.ready();
    props = await server.props();
    $("model").textContent = modelLine(props);
    dialog.suit(props);
    if (!["busy", "error"].includes(state.dataset.kind)) say();
    enable();
  } catch (problem) {
    wait(problem);
  }
}

/** wait says why the server would not answer and looks again until it would. */
function wait(problem) {
  props = null;
  if (problem.kind === "key") {
    const ask = () => askKey(server.key !== "");
    say(waitTexts.key, "key", element("button", { type: "button", class: "link", onclick: ask }, "Enter it"));
    if (!$("key").open) ask();
  } else {
    say(waitTexts[problem.kind] ?? problem.message, problem.kind);
    clearTimeout(waiting);
    waiting = setTimeout(connect, 1500);
  }
  enable();
}

function modelLine({ model_alias: name, diffusion: d }) {
  return d ? `${name} · ${d.Dialect}, blocks of ${d.BlockSize}` : `${name} · one token at a time`;
}

/** enable lets the user do what can be done now. */
function enable() {
  sendButton.disabled = !props || prompt.value.trim() === "";
  sendButton.hidden = running !== null;
  stopButton.hidden = running === null;
  for (const button of log.querySelectorAll("[data-needs=server]")) button.disabled = !props || running !== null;
}

// ---- the key ----

const keyKept = "wf.key"; // in sessionStorage: until the tab is closed

function readKey() {
  try { server.key = sessionStorage.getItem(keyKept) ?? ""; } catch { /* then it is asked for */ }
}

function askKey(refused) {
  $("key-problem").hidden = !refused;
  $("key-problem").textContent = "The server did not accept the key.";
  $("key-form").elements.key.value = "";
  $("key").showModal();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const { key, keep } = event.target.elements;
  server.key = key.value;
  try {
    if (keep.checked) sessionStorage.setItem(keyKept, key.value);
    else sessionStorage.removeItem(keyKept);
  } catch { /* kept in memory alone */ }
  key.value = "";
  $("key").close();
  connect().then(() => prompt.focus());
});
$("key-cancel").addEventListener("click", () => $("key").close());

// ---- messages ----

/** draw shows the conversation from its start. */
function draw() {
  for (const message of conversation.messages) {
    if (message.role === "assistant" && !message.finish) message.problem ??= { kind: "broken", message: "The page was left before the answer was complete." };
  }
  log.replaceChildren(...(conversation.messages.length ? conversation.messages.map(drawMessage) : [welcome()]));
  log.scrollTop = log.scrollHeight;
  enable();
  list();
}

const examples = ["What is the capital of France?", "What is block diffusion?", "Tell me a story about a fox.", "Write a poem about rain."];

function welcome() {
  return element("section", { class: "welcome" },
    element("p", { class: "welcome-dots", "aria-hidden": "true" }, ...Array.from({ length: 16 }, () => element("span"))),
    element("h2", {}, "Watch an answer come out of its masks"),
    element("p", {}, "A diffusion model fills in a whole block of words at once, the ones it is sure of first. Ask something, then step through how it was written."),
    element("ul", { class: "examples" }, ...examples.map((text) => element("li", {}, element("button", { type: "button", onclick: () => send(text), "data-needs": "server" }, text)))));
}

function drawMessage(message) {
  if (message.role === "user") return element("article", { class: "question", "aria-label": "Question" }, element("p", { class: "text" }, message.content));
  return new AnswerView(message).element;
}

/** AnswerView shows an answer, complete or still coming. */
class AnswerView {
  constructor(message) {
    this.message = message;
    this.view = null;
    this.text = element("p", { class: "text" });
    this.notes = element("div", { class: "notes" });
    this.figures = element("p", { class: "figures" });
    this.stepsButton = iconButton("steps", "Show how it was written", () => this.toggle(), { "aria-expanded": "false" });
    this.actions = element("div", { class: "actions", role: "group", "aria-label": "Answer" },
      iconButton("copy", "Copy", (event) => copy(this.message.content, event.currentTarget)),
      iconButton("again", "Regenerate", regenerate, { "data-needs": "server", "data-action": "regenerate" }),
      this.stepsButton,
      iconButton("compare", "Compare two settings", () => compareFrom(this.message)),
      this.figures);
    this.element = element("article", { class: "answer", "aria-label": "Answer" }, this.text, this.notes, this.actions);
    this.update();
  }

  update() {
    const { message } = this;
    this.text.textContent = message.content;
    this.text.hidden = !message.content;
    this.notes.replaceChildren(...notesOf(message).map((note) => element("p", { class: "note", "data-kind": note.kind }, note.text)));
    this.figures.textContent = figuresOf(message);
    this.stepsButton.hidden = !message.recording?.steps.length;
    this.actions.hidden = !(message.finish || message.problem);
    this.view?.grown();
  }

  /** follow opens the live view on what comes. */
  follow() {
    this.toggle();
    this.view.player.begin();
  }

  toggle() {
    if (this.view) {
      this.view.player.stop();
      this.view.element.remove();
      this.view = null;
    } else {
      this.view = new UnmaskView(this.message.recording);
      this.element.prepend(this.view.element);
    }
    this.stepsButton.setAttribute("aria-expanded", String(this.view !== null));
    const label = this.view ? "Hide how it was written" : "Show how it was written";
    this.stepsButton.setAttribute("aria-label", label);
    this.stepsButton.title = label;
  }
}

const finishTexts = { length: "The answer reached its limit of new tokens.", stopped: "Stopped." };

function notesOf({ finish, problem, stats }) {
  const notes = [];
  if (problem) notes.push({ kind: "problem", text: problem.requestID ? `${problem.message} (${problem.code}, ${problem.requestID})` : problem.message });
  if (finishTexts[finish]) notes.push({ kind: "plain", text: finishTexts[finish] });
  if (stats?.unused.length) notes.push({ kind: "plain", text: `Without effect on this model: ${stats.unused.join(", ")}.` });
  return notes;
}

function figuresOf({ stats }) {
  if (!stats) return "";
  const steps = stats.steps ? ` in ${stats.steps} ${stats.steps === 1 ? "step" : "steps"}, ${number(stats.perStep)} a step` : "";
  return `${stats.tokens} tokens${steps}, ${number(stats.rate)} tokens/s, seed ${stats.seed}`;
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no permission, or a page without TLS from another machine
    const area = element("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button?.focus();
  announce("Copied");
  if (button) {
    button.dataset.done = "done";
    setTimeout(() => delete button.dataset.done, 1200);
  }
}

function announce(text) { $("announcement").textContent = text; }

// ---- asking ----

/** send asks the next question. */
function send(text) {
  if (running || !props || !text.trim()) return;
  if (!conversation.messages.length) log.replaceChildren();
  const question = { role: "user", content: text };
  conversation.messages.push(question);
  log.append(drawMessage(question));
  prompt.value = "";
  grow();
  answer();
}

/** regenerate asks the last question again and replaces its answer. */
function regenerate() {
  if (running || !props || !conversation.messages.length) return;
  if (conversation.messages.at(-1).role === "assistant") {
    conversation.messages.pop();
    log.lastElementChild.remove();
  }
  answer();
}

/** said is what a model is told of messages: without questions that got no answer. */
function said(messages) {
  const counts = (message, i) => message.content !== "" && (message.role === "assistant" || messages[i + 1]?.content !== "");
  return messages.filter(counts).map(({ role, content }) => ({ role, content }));
}

/** answer asks the server for the next message. While its queue is full it asks again when the server said to. */
async function answer() {
  const messages = said(conversation.messages);
  const asked = conversation; // the user may go to another one meanwhile
  const message = newAnswer(props.diffusion?.BlockSize ?? 32);
  const view = new AnswerView(message);
  conversation.messages.push(message);
  log.append(view.element);
  running = new AbortController();
  say();
  announce("Answering");
  keep(asked);
  enable();
  list();
  if (!matchMedia("(pointer: coarse)").matches) prompt.focus(); // what was clicked may be gone; on a phone this would open the keyboard
  const { signal } = running;
  const request = requestOf(settings, messages, props.diffusion?.Dialect);
  const options = { signal, pace: Number(settings.pace), onchange: () => atBottom(() => view.update()) };
  if (settings.live) view.follow();
  log.scrollTop = log.scrollHeight;
  for (;;) {
    delete message.problem;
    await run(server, request, message, options);
    if (message.problem?.kind !== "busy" || signal.aborted) break;
    await countdown(Math.max(1, message.problem.retryAfter), signal);
    if (signal.aborted) break;
  }
  running = null;
  if (state.dataset.kind === "busy") say();
  if (!message.recording.steps.length && view.view) atBottom(() => view.toggle());
  view.view?.player.end();
  announce(message.problem ? message.problem.message : message.content);
  if (["gone", "broken", "draining", "loading", "stalled", "key"].includes(message.problem?.kind)) connect();
  keep(asked);
  enable();
  list();
}

/** keep saves a conversation, unless it was deleted meanwhile. */
function keep(asked) {
  if (asked.messages.length && !store.save(asked)) say("The browser's storage is full or closed: this conversation will be gone when you leave the page.", "error");
}

addEventListener("pagehide", () => { if (running) keep(conversation); });

/** countdown waits for a place in the queue and says so. */
async function countdown(seconds, signal) {
  for (let left = seconds; left > 0 && !signal.aborted; left--) {
    say(`The server is busy: its queue is full. Asking again in ${left} s.`, "busy");
    await new Promise((done) => {
      const timer = setTimeout(done, 1000);
      signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
    });
  }
}

/** atBottom changes the log and stays at its end if the user is there. */
function atBottom(change) {
  const there = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  change();
  if (there) log.scrollTop = log.scrollHeight;
}

function stop() { running?.abort(); }

// ---- conversations ----

/** list shows which conversations there are, and in the title which one is open. */
function list() {
  document.title = conversation.messages.length ? `${store.titleOf(conversation)} · wf` : "wf";
  $("conversations").replaceChildren(...store.conversations().map((c) => {
    const title = store.titleOf(c);
    return element("li", {},
      element("button", { type: "button", class: "conversation", "aria-current": c.id === conversation.id ? "true" : null, onclick: () => open(c) }, title),
      iconButton("trash", `Delete “${title}”`, () => { store.forget(c.id); if (c.id === conversation.id) discard(); else list(); }));
  }));
  $("forget-button").parentElement.hidden = !$("conversations").children.length;
}

/** discard leaves the open conversation, which was deleted, so that an answer that still comes does not bring it back. */
function discard() {
  conversation.messages = [];
  open(blank());
}

function open(other) {
  stop();
  showChat();
  conversation = other;
  draw();
  closeDrawer();
  prompt.focus();
}

function closeDrawer() {
  drawer.classList.remove("open");
  $("drawer-button").setAttribute("aria-expanded", "false");
}

$("drawer-button").addEventListener("click", () => {
  const opened = drawer.classList.toggle("open");
  $("drawer-button").setAttribute("aria-expanded", String(opened));
  if (opened) $("new-button").focus();
});
$("new-button").addEventListener("click", () => open(blank()));
$("forget-button").addEventListener("click", () => {
  if (confirm("Delete all conversations from this browser?")) { store.forgetAll(); discard(); }
});
addEventListener("storage", list); // another tab has changed something

// ---- comparing ----

const comparison = new Comparison($("compare"), { server, settings, props: () => props, onproblem: wait });

function showChat() {
  comparison.stop();
  $("compare").hidden = true;
  $("chat").hidden = false;
  $("compare-button").setAttribute("aria-pressed", "false");
}

function showComparison(history, question) {
  $("chat").hidden = true;
  $("compare").hidden = false;
  $("compare-button").setAttribute("aria-pressed", "true");
  comparison.open(history, question);
}

/** compareFrom compares settings on the question of an answer, after the same conversation. */
function compareFrom(message) {
  const i = conversation.messages.indexOf(message);
  showComparison(said(conversation.messages.slice(0, i - 1)), conversation.messages[i - 1].content);
}

$("compare-button").addEventListener("click", () => ($("compare").hidden ? showComparison([], prompt.value) : showChat()));

// ---- theme, settings, keys ----

const themes = [null, "light", "dark"];

function applyTheme() {
  const theme = store.readTheme();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $("theme-button").textContent = theme === "light" ? "Light" : theme === "dark" ? "Dark" : "Auto";
  $("theme-button").setAttribute("aria-label", `Theme: ${theme ?? "as the system has it"}`);
}

$("theme-button").addEventListener("click", () => {
  store.writeTheme(themes[(themes.indexOf(store.readTheme()) + 1) % themes.length]);
  applyTheme();
});

const dialog = new SettingsDialog(settings, () => store.writeSettings(settings));

function openSettings() {
  $("key-state").textContent = server.key ? "Requests carry the key that you entered." : "Requests carry no key.";
  dialog.open();
}

$("settings-button").addEventListener("click", openSettings);
$("key-button").addEventListener("click", () => { dialog.dialog.close(); askKey(false); });

/** grow makes the prompt as high as its text, up to what the style allows. */
function grow() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
  enable();
}

prompt.addEventListener("input", grow);
prompt.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    send(prompt.value);
  } else if (event.key === "ArrowUp" && prompt.value === "") {
    prompt.value = conversation.messages.findLast((message) => message.role === "user")?.content ?? "";
    grow();
    event.preventDefault();
  }
});
composer.addEventListener("submit", (event) => { event.preventDefault(); send(prompt.value); });
stopButton.addEventListener("click", () => { stop(); prompt.focus(); });

const shortcuts = {
  KeyN: () => open(blank()),
  KeyR: regenerate,
  KeyC: () => copy(conversation.messages.findLast((message) => message.role === "assistant")?.content ?? ""),
  KeyK: () => $("compare-button").click(),
  KeyS: openSettings,
};

addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    comparison.stop();
    if (running) stop();
    else if (drawer.classList.contains("open")) { closeDrawer(); $("drawer-button").focus(); }
  } else if (event.altKey && !event.ctrlKey && !event.metaKey && shortcuts[event.code]) {
    event.preventDefault();
    shortcuts[event.code]();
  }
});

// ---- start ----

readKey();
applyTheme();
const [latest] = store.conversations();
if (latest) conversation = latest;
draw();
connect();
