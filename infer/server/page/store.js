// What stays in this browser: conversations, settings and the theme, in localStorage. Where that is forbidden or full the page goes on without.
//
//   wf.settings            the object of settings.js
//   wf.theme               light or dark; absent: as the system has it
//   wf.conversation.ID     {id, changed, messages}: {role: "user", content} and answers as answer.js has them

const prefix = "wf.conversation.";

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

function remove(key) {
  try {
    localStorage.removeItem(key);
  } catch { /* it was never written */ }
}

function keys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  } catch {
    return [];
  }
}

export const readSettings = (defaults) => ({ ...defaults, ...read("wf.settings") });
export const writeSettings = (settings) => write("wf.settings", settings);
export const readTheme = () => read("wf.theme");
export const writeTheme = (theme) => (theme ? write("wf.theme", theme) : remove("wf.theme"));

const isConversation = (c) => typeof c?.id === "string" && Array.isArray(c.messages) && c.messages.every((m) => typeof m?.content === "string");

/** conversations returns all, the one that changed last first. */
export function conversations() {
  return keys().map(read).filter(isConversation).sort((a, b) => b.changed - a.changed);
}

/** save keeps a conversation, and reports whether there was room. To make room it drops recordings, of the oldest conversations first, but no text. */
export function save(conversation) {
  conversation.changed = Date.now();
  const put = (c) => write(prefix + c.id, c);
  if (put(conversation)) return true;
  const older = conversations().filter((c) => c.id !== conversation.id).reverse();
  for (const c of older) {
    for (const message of c.messages) delete message.recording;
    put(c);
    if (put(conversation)) return true;
  }
  return false;
}

export function forget(id) { remove(prefix + id); }

export function forgetAll() { for (const key of keys()) remove(key); }

/** titleOf is the first question, short. */
export function titleOf(conversation) {
  return conversation.messages[0]?.content.trim().split("\n")[0].slice(0, 80) || "New conversation";
}
