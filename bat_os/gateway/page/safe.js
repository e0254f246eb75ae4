// The one place that makes text safe to show. What methods, documents and tools say is text, never
// HTML: Preact sets it as text, and the page's policy refuses anything else. What is left are
// characters that hide or reorder other text, and sheer length.

// The characters that core/printable.py spells out on a terminal; a test compares the two.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;

/** How much of a question for leave is shown: all, since a yes is to all of it. */
export const ALL = Infinity;

/** Return text without characters that hide or reorder others, at most `most` long. */
export function clean(value, most = 20000) {
  const text = typeof value === "string" ? value : spell(value);
  const kept = (text.length > most * 2 ? text.slice(0, most * 2) : text).replace(/\r\n/g, "\n").replace(HIDDEN, "\ufffd");
  return kept.length > most ? `${kept.slice(0, most)}\u2026` : kept;
}

/** Return one line of text, for labels and lists. */
export function line(value, most = 160) {
  return clean(value, most * 2).replace(/\s+/g, " ").trim().slice(0, most);
}

/** Return plain data as people read it: text as it is, the rest as JSON. */
export function spell(value, indent = 0) {
  if (value === null || value === undefined) return value === null ? "null" : "";
  if (typeof value === "string") return value;
  if (typeof value === "object" && typeof value.ref === "string") return value.ref;
  try {
    if (indent) return JSON.stringify(value, null, indent);
    const spaced = JSON.stringify(value, null, 1) ?? "";
    return spaced.replace(/\n\s*/g, " ").replace(/([[{]) /g, "$1").replace(/ ([\]}])/g, "$1");
  } catch {
    return String(value);
  }
}

/** Return the value that a person typed: JSON if it is some, else the text itself. */
export function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Return a list of arguments typed with commas between them, as JSON; throw if it is none. */
export function readList(text) {
  return text.trim() ? JSON.parse(`[${text}]`) : [];
}
