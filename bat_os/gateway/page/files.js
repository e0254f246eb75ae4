// Files that were dropped or chosen: each is learned as a document.
import { follow, verb } from "./ask.js";
import { act } from "./parts.js";
import { line } from "./safe.js";
import { put, state, toast } from "./store.js";
import { size, t } from "./words.js";

const MOST = 900_000; // characters; a request has at most a megabyte

/** Learn files, one after the other. */
export async function learnFiles(files) {
  for (const file of files) {
    if (file.size > MOST) {
      toast(t("files.large", { name: file.name, size: size(MOST) }), null, "bad");
      continue;
    }
    const text = await file.text();
    if (text.includes("\u0000") || text.startsWith("%PDF")) {
      toast(t("files.binary", { name: file.name }), null, "bad");
      continue;
    }
    await learnText(file.name, text);
  }
}

/** Learn a text as a document; it can be forgotten again. */
export async function learnText(title, text) {
  const fields = { body: { title: line(title, 180), text, source: line(title, 180) } };
  const done = (told) => t(told.changed ? "files.learned" : "files.known", { name: title, n: told.passages });
  const forget = (told) => verb("forget", { body: { doc_id: told.doc_id } });
  const told = await act(() => follow("learn", fields, () => {}), done, forget);
  put({ tick: state.tick + 1 });
  return told;
}
