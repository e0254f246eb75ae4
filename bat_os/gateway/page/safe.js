// The one place that makes text safe to show. What methods, documents and tools say is text, never
// HTML: Preact sets it as text, and the page's policy refuses anything else. What is left are
// characters that hide or reorder other text, and sheer length.

const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]/g;

/** Return text without characters that hide or reorder others, at most `most` long. */
export function clean(value, most = 20000) {
  const text = typeof value === "string" ? value : spell(value);
  const kept = (text.length > most * 2 ? text.slice(0, most * 2) : text).replace(HIDDEN, "\ufffd");
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
