import { element } from "./dom.js";
import { UnmaskView } from "./unmask.js";

// A file of WriteReplay: the recording that it carries, in the live view, from its start.
const recording = JSON.parse(document.getElementById("recording").textContent);
const view = new UnmaskView(recording, { timed: false });
document.querySelector("main").append(
  element("h1", {}, recording.title),
  recording.model ? element("p", { class: "replay-model" }, recording.model) : "",
  view.element,
  recording.text ? element("p", { class: "replay-text" }, recording.text) : "");
view.go(0);
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) view.player.toggle();
