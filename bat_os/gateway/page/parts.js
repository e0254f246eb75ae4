// Small parts that all views are made of: icons, badges, empty states, dialogs, toasts.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { label } from "./kinds.js";
import { clean } from "./safe.js";
import { choose, dismiss, put, toast, use } from "./store.js";
import { knows, t } from "./words.js";

const PATHS = {
  talk: "M4 5h16v11H10l-5 4v-4H4z",
  image: "M6 8a2 2 0 1 0 0-.1M18 6a2 2 0 1 0 0-.1M13 18a2 2 0 1 0 0-.1M7.700 9l4 7.500M16.700 7.700l-3.200 8.500M8 7.700l8-1.500",
  thoughts: "M3 12h4l2.500-6 4 12 2.500-6h5",
  knowledge: "M12 6c-2-1.500-5-2-8-1.500V18c3-.5 6 0 8 1.500 2-1.500 5-2 8-1.500V4.500C17 4 14 4.500 12 6zM12 6v13.500",
  world: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  settings: "M4 7h10M18 7h2M16 5v4M4 17h2M10 17h10M8 15v4M4 12h16",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.500 4.500",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10v11H9zM5 15V4h10",
  undo: "M8 5L4 9l4 4M4 9h9a6 6 0 0 1 0 12h-3",
  send: "M12 19V5M6 11l6-6 6 6",
  attach: "M20 11l-8.500 8.500a5 5 0 0 1-7-7L13 4a3.300 3.300 0 0 1 4.700 4.700L9.500 17a1.700 1.700 0 0 1-2.400-2.400L14.500 7",
  shield: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4.500l3 2",
  plus: "M12 5v14M5 12h14",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19",
  down: "M7 10l5 5 5-5",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  bolt: "M13 3L5 14h6l-1 7 8-11h-6z",
  stop: "M7 7h10v10H7z",
  pin: "M9 4h6l-1 6 3 3H7l3-3zM12 13v7",
  check: "M5 12.500l4.500 4.500L19 7",
};

/** A drawing; what it means stands beside it, or in the label of its button. */
export const Icon = ({ name, size = 18 }) =>
  html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

/** A button that shows only an icon. */
export const IconButton = ({ name, label, children, ...more }) =>
  html`<button type="button" class="quiet icon-button" aria-label=${label} title=${label} ...${more}><${Icon} name=${name} />${children}</button>`;

/** A status in words, with a colour beside it. */
export const Badge = ({ status, children }) =>
  html`<span class=${`badge ${status}`}>${children || (knows(`status.${status}`) ? t(`status.${status}`) : clean(status, 40))}</span>`;

/** What a list shows that has nothing. */
export const Empty = ({ icon, title, children }) =>
  html`<div class="empty"><${Icon} name=${icon} size=${30} /><p class="empty-title">${title}</p>${children && html`<p class="dim">${children}</p>`}</div>`;

/** The yes that a method waits for, where a message to it was refused; `done` is called after it. */
export function Approval({ error, done }) {
  const { object, selector } = error.details || {};
  if (error.code !== "APPROVAL_WANTED" || !object) return null;
  const approve = async () => {
    const told = await act(() => verb("approve", { target: object, selector }), t("did.approve", { name: selector }), () => verb("unlearn", { target: object, selector }));
    if (told) done?.();
  };
  return html`<button type="button" class="chip" onClick=${() => choose(object, selector)}>${t("talk.open", { name: label(object) })}</button><button type="button" class="chip solid good" onClick=${approve}>${t("do.approve.waiting")}</button>`;
}

/** What could not be done, and why. */
export function Trouble({ error, again }) {
  if (!error) return null;
  const text = error.code === "UNREACHABLE" || error.status === 0 ? t("error.unreachable") : clean(error.message, 1200);
  return html`<div class="trouble" role="alert"><p>${text || t("error.unknown")}</p>
    ${error.code && html`<code class="dim">${error.code}</code>`}<${Approval} error=${error} done=${again} />
    ${again && html`<button type="button" class="chip" onClick=${again}>${t("again")}</button>`}</div>`;
}

/** Something is on its way. */
export const Waiting = ({ label }) =>
  html`<p class="waiting" role="status"><i class="spin" aria-hidden="true"></i>${label || t("loading")}</p>`;

/**
 * Ask for something when a component shows, and again when `on` changes. What was told before stays
 * until then, and while the daemon is away; but what was told of one moment is not shown of another.
 */
export function useAsked(question, on = []) {
  const [told, setTold] = useState({ value: null, error: null, busy: true });
  const [round, setRound] = useState(0);
  const { at } = use("at");
  useEffect(() => {
    let is = true;
    setTold((old) => ({ ...old, value: old.at === at ? old.value : null, busy: true }));
    Promise.resolve()
      .then(question)
      .then((value) => is && setTold({ value, at, error: null, busy: false }))
      .catch((error) => is && setTold((old) => ({ value: error.retryable ? old.value : null, at, error, busy: false })));
    return () => (is = false);
  }, [...on, round]);
  return { ...told, again: () => setRound((n) => n + 1) };
}

/** Do what a button does if the palette wishes for it by the key of its text. */
export function useWish(name, work) {
  const { wish } = use("wish");
  useEffect(() => {
    if (wish !== name) return;
    put({ wish: "" });
    work();
  }, [wish]);
}

/** Do something; say what was done, with its way back, or why it failed. */
export async function act(work, done = "", undo = null) {
  try {
    const told = await work();
    if (done) toast(typeof done === "function" ? done(told) : done, undo ? () => undo(told) : null);
    return told;
  } catch (error) {
    toast(error.code === "UNREACHABLE" ? t("error.unreachable") : clean(error.message, 300), null, "bad");
    return null;
  }
}

/** A dialog above the page: Escape closes it, and the focus returns. */
export function Dialog({ title, close, children, wide = false }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    box.current.querySelector("[data-first]")?.focus();
    return () => before?.focus?.();
  }, []);
  const outside = (event) => event.target === box.current && close();
  return html`<dialog ref=${box} class=${wide ? "wide" : ""} aria-label=${title} onCancel=${(e) => { e.preventDefault(); close(); }} onClick=${outside}>
    <div class="dialog-body"><header><h2>${title}</h2><${IconButton} name="close" label=${t("close")} onClick=${close} /></header>${children}</div></dialog>`;
}

/** A button that asks once more before it does what cannot be taken back. */
export function Sure({ label, ask, onSure, tone = "bad" }) {
  const [open, setOpen] = useState(false);
  const yes = () => {
    setOpen(false);
    onSure();
  };
  return html`<button type="button" class=${`chip ${tone}`} onClick=${() => setOpen(true)}>${label}</button>
    ${open && html`<${Dialog} title=${label} close=${() => setOpen(false)}><p>${ask}</p><p class="actions">
      <button type="button" class="chip" onClick=${() => setOpen(false)}>${t("cancel")}</button>
      <button type="button" class=${`chip solid ${tone}`} onClick=${yes}>${label}</button></p><//>`}`;
}

/** What is on its way, and what was done lately, each with its way back. */
export function Toasts() {
  const { toasts, uploads } = use("toasts", "uploads");
  const back = async (one) => {
    dismiss(one.id);
    await act(one.undo, t("undone"));
  };
  return html`<div class="toasts" role="status" aria-live="polite">${uploads.map((one) => html`<div class="toast" key=${`u${one.id}`}><span>${t(`files.${one.step}`, { name: one.name })}<progress max="1" value=${one.step === "sending" ? one.part : null} aria-label=${one.name}></progress></span>
      ${one.step === "sending" && html`<${IconButton} name="stop" label=${t("talk.stop")} onClick=${one.stop} />`}</div>`)}${toasts.map(
    (one) => html`<div class=${`toast ${one.tone}`} key=${one.id}><span>${clean(one.text, 400)}</span>
      ${one.undo && html`<button type="button" class="chip" onClick=${() => back(one)}>${t("undo")}</button>`}
      <${IconButton} name="close" label=${t("close")} onClick=${() => dismiss(one.id)} /></div>`,
  )}</div>`;
}

/** Copy text, and say so. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("copied"));
  } catch {
    toast(t("copy.refused"), null, "bad");
  }
}
