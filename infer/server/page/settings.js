// Settings: the dialog, and how they become members of a request. Every value is the text of its field; "" leaves the choice to the server.

export const defaults = {
  system: "", mode: "", threshold: "", sub_block_size: "", max_iterations: "", temperature: "", seed: "", max_tokens: "", live: true, pace: "0",
};

const numbers = ["temperature", "max_tokens", "seed"];
const diffusion = { mode: ["decode_mode", String], threshold: ["threshold", Number], sub_block_size: ["sub_block_size", Number], max_iterations: ["max_iterations", Number] };

/** requestOf makes the body of a chat completion. A seed has 15 digits at most, so that it is exact as a number. */
export function requestOf(settings, messages, dialect) {
  const request = { messages: settings.system ? [{ role: "system", content: settings.system }, ...messages] : messages };
  Object.assign(request, { stream: true, stream_options: { include_usage: true }, diffusion: { stream_steps: true } });
  for (const name of numbers) if (settings[name] !== "") request[name] = Number(settings[name]);
  for (const [name, [member, read]] of Object.entries(diffusion)) if (dialect && settings[name] !== "" && suits(name, dialect)) request.diffusion[member] = read(settings[name]);
  return request;
}

const suits = (name, dialect) => !(name === "sub_block_size" && dialect !== "fast-dllm-v2") && !(name === "max_iterations" && dialect !== "wrinklefree");

/** SettingsDialog edits settings in place and calls onchange after each change. */
export class SettingsDialog {
  constructor(settings, onchange) {
    this.dialog = document.getElementById("settings");
    this.form = document.getElementById("settings-form");
    this.settings = settings;
    this.fill();
    this.form.addEventListener("change", () => { this.read(); onchange(); });
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.read(); onchange(); this.dialog.close(); });
    document.getElementById("settings-reset").addEventListener("click", () => { Object.assign(this.settings, defaults); this.fill(); onchange(); });
  }

  fields() { return Object.keys(defaults).map((name) => this.form.elements[name]); }

  fill() {
    for (const field of this.fields()) {
      if (field.type === "checkbox") field.checked = this.settings[field.name];
      else field.value = this.settings[field.name];
    }
  }

  /** read takes over what is valid; the browser says of the rest what is wrong with it. */
  read() {
    for (const field of this.fields()) if (field.checkValidity()) this.settings[field.name] = field.type === "checkbox" ? field.checked : field.value.trim();
  }

  /** suit shows what has a meaning for the model, with its own values as hints. */
  suit(props) {
    const d = props.diffusion;
    document.getElementById("settings-diffusion").hidden = !d;
    for (const label of this.form.querySelectorAll("[data-dialect]")) label.hidden = label.dataset.dialect !== d?.Dialect;
    const { temperature, n_predict: tokens } = props.default_generation_settings;
    const hints = { threshold: d?.Threshold, sub_block_size: d?.SubBlockSize, temperature, max_tokens: tokens };
    for (const [name, value] of Object.entries(hints)) this.form.elements[name].placeholder = value ?? "";
  }

  open() { this.fill(); this.dialog.showModal(); }
}
