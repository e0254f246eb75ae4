// Files that were dropped or chosen: each is sent to be learned as a document, with its progress.
import { Problem, follow, fresh, verb } from "./ask.js";
import { act } from "./parts.js";
import { proof } from "./proof.js";
import { line, read } from "./safe.js";
import { put, state, toast } from "./store.js";
import { size, t } from "./words.js";

const MOST = 64 << 20; // bytes that the gateway takes
const TRIES = 40;
const waiting = [];
let busy = false;
let number = 0;

/** Learn files, one after the other; those that are dropped meanwhile wait. */
export async function learnFiles(files) {
  waiting.push(...files);
  if (busy) return;
  busy = true;
  for (let file = waiting.shift(); file; file = waiting.shift()) await learnFile(file);
  busy = false;
}

async function learnFile(file) {
  const name = line(file.name, 180).replace(/[\\/]/g, "_");
  if (file.size > MOST) {
    toast(t("files.large", { name, size: size(MOST) }), null, "bad");
    return;
  }
  const id = ++number;
  const control = new AbortController();
  const stop = () => control.abort();
  const show = (step, part) => put({ uploads: [...state.uploads.filter((one) => one.id !== id), { id, name, step, part, stop }] });
  show("sending", 0);
  const headers = { ...proof(), "idempotency-key": fresh() };
  const told = await act(() => again(() => upload(name, file, headers, (part) => show(part < 1 ? "sending" : "reading", part), control.signal)));
  put({ uploads: state.uploads.filter((one) => one.id !== id), tick: state.tick + 1 });
  if (told) tell(name, told);
}

/** Say what was learned; what was known already is not forgotten by an undo. */
function tell(name, told) {
  toast(t(told.changed ? "files.learned" : "files.known", { name, n: told.passages }), told.changed ? () => Promise.all((told.doc_ids || [told.doc_id]).map(forget)) : null);
}

/** Another document may be read at the moment: wait for it. */
async function again(send) {
  for (let i = 0; ; i++) {
    try {
      return await send();
    } catch (error) {
      if (error.code !== "BUSY" || i === TRIES) throw error;
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

/** Send the bytes of a file; only XMLHttpRequest tells how far that has come. */
function upload(name, file, headers, hear, signal) {
  return new Promise((done, fail) => {
    const asked = new XMLHttpRequest();
    const lost = () => fail(new Problem({ code: "UNREACHABLE", retryable: true }, 0));
    asked.open("POST", `/uploads?name=${encodeURIComponent(name)}`);
    asked.setRequestHeader("content-type", "application/octet-stream");
    for (const [header, value] of Object.entries(headers)) asked.setRequestHeader(header, value);
    asked.upload.onprogress = (event) => hear(event.lengthComputable ? event.loaded / event.total : 0);
    asked.upload.onload = () => hear(1);
    asked.onerror = lost;
    asked.onabort = () => fail(new Problem({ code: "CANCELLED", detail: t("files.stopped", { name }) }, 0));
    asked.onload = () => {
      const told = read(asked.responseText);
      if (asked.status === 200) done(told);
      else fail(new Problem(typeof told === "object" ? told : {}, asked.status));
    };
    signal.addEventListener("abort", () => asked.abort());
    asked.send(file);
  });
}

/** Forget a document; what comes back undoes that. */
export async function forget(id) {
  const told = await verb("forget", { body: { doc_id: id } });
  put({ tick: state.tick + 1 });
  return told;
}

/** Have a document back that was forgotten. */
export async function haveBack(told) {
  await verb("forget", { body: { doc_id: told.doc_id, back: told.transaction } });
  put({ tick: state.tick + 1 });
}

/** Learn a text as a document; it can be forgotten again. */
export async function learnText(title, text) {
  const fields = { body: { title: line(title, 180), text, source: line(title, 180) } };
  const told = await act(() => follow("learn", fields, () => {}));
  put({ tick: state.tick + 1 });
  if (told) tell(title, told);
  return told;
}
