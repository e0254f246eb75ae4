// What changed between two moments; how an image is brought back as a whole.
import { html, useState } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { MakeFork, Sides } from "./copies.js";
import { label, words } from "./kinds.js";
import { act, Dialog, Empty, Icon, Trouble, useAsked, Waiting } from "./parts.js";
import { clean, line } from "./safe.js";
import { choose, go } from "./store.js";
import { clock, moment, t } from "./words.js";

const DID = { new: "in", gone: "out", deleted: "out", changed: "at" };
const UNNAMED = /^[0-9a-f]{16}$/; // facts and reminders, which are shown in words elsewhere
const HOUSEKEEPING = /^(index |keep conversations|count uses|note|accept|step|prune)/;

/** Two moments to choose, of those that the slider reaches. */
function Moments({ all, from, to, setFrom, setTo }) {
  const shown = all.slice(-400);
  const name = (one) => `${clock(one.at, { seconds: true })}  ${line(words(one.note), 50)}`;
  const at = (id) => (id ? shown.findIndex((one) => one.id === id) : shown.length);
  return html`<div class="two"><label>${t("past.from")}<select class="field" value=${from} onChange=${(e) => setFrom(e.target.value)}>${shown.slice(0, at(to)).reverse().map((one) => html`<option value=${one.id} selected=${one.id === from}>${name(one)}</option>`)}</select></label>
    <label>${t("past.to")}<select class="field" value=${to} onChange=${(e) => setTo(e.target.value)}><option value="" selected=${!to}>${t("time.now")}</option>${shown.slice(at(from) + 1).reverse().map((one) => html`<option value=${one.id} selected=${one.id === to}>${name(one)}</option>`)}</select></label></div>`;
}

/** A method that has another version now: both sources, side by side, when it is opened. */
function Changed({ each }) {
  const [open, setOpen] = useState(false);
  const pair = { a: each.before, b: each.after };
  const told = useAsked(() => (open && each.before && each.after ? verb("diff-method", { target: each.object, selector: each.selector, body: pair }) : null), [open]);
  const name = line(`${label(each.object)} \u00b7 ${each.selector}`, 200);
  if (!each.before || !each.after) return html`<li><span class=${each.after ? "in" : "out"}>${t(each.after ? "past.new" : "past.gone")}</span> ${name}</li>`;
  return html`<li><details onToggle=${(e) => setOpen(e.target.open)}><summary>${name} <span class="dim small">${t("past.version", pair)}</span></summary>
    <${Trouble} error=${told.error} />${told.value && html`<${Sides} diff=${told.value.diff || ""} left=${t("version.n", { n: each.before })} right=${t("version.n", { n: each.after })} />`}</details></li>`;
}

export function Compare({ from: first, all, close }) {
  const [from, setFrom] = useState(first);
  const [to, setTo] = useState("");
  const [forking, setForking] = useState(false);
  const told = useAsked(() => verb("diff", { body: { a: from, ...(to ? { b: to } : {}) } }), [from, to]);
  const one = told.value;
  const objects = (one?.objects || []).filter((each) => !UNNAMED.test(each.object));
  const commits = (one?.transactions || []).filter((each) => !HOUSEKEEPING.test(each.note));
  const isEmpty = one && !objects.length && !one.methods.length && !one.documents.length;
  const back = (row) => act(() => verb("undo", { body: { transaction: row.id } }), t("past.undone"), (done) => verb("undo", { body: { transaction: done.transaction } })).then(told.again);
  const open = (name) => {
    close();
    choose(name);
  };
  return html`<${Dialog} wide title=${t("past.title")} close=${close}><${Moments} all=${all} from=${from} to=${to} setFrom=${setFrom} setTo=${setTo} />
    <${Trouble} error=${told.error} />${!one && told.busy && html`<${Waiting} />`}
    ${isEmpty && html`<${Empty} icon="clock" title=${t("past.same")} />`}
    ${one && html`${objects.length > 0 && html`<h4>${t("image.objects")}</h4><ul class="plain">${objects.slice(0, 100).map((each) => html`<li><span class=${DID[each.what] || ""}>${t(`past.${each.what === "new" ? "new" : each.what === "changed" ? "changed" : "gone"}`)}</span> <button type="button" class="link" onClick=${() => open(each.object)}>${label(each.object)}</button> <span class="dim small">${clean(changes(each.slots), 240)}</span></li>`)}</ul>`}
      ${one.methods.length > 0 && html`<h4>${t("inspect.methods")}</h4><ul class="plain">${one.methods.slice(0, 100).map((each) => html`<${Changed} key=${`${each.object}.${each.selector}`} each=${each} />`)}</ul>`}
      ${one.documents.length > 0 && html`<h4>${t("know.documents")}</h4><ul class="plain">${one.documents.slice(0, 60).map((each) => html`<li>${line(each.document.replace(/^\w+:(.*\/)?/, "").replace(UNNAMED, ""), 160)} <span class="dim small">${line(each.document.split(":")[0], 20)}</span></li>`)}</ul>`}
      <h4>${t("past.commits", { n: commits.length })}</h4><ul class="plain">${commits.slice(-60).reverse().map((each) => html`<li class="commit"><time class="dim">${moment(each.at)}</time> <span class="grow">${words(each.note)}</span><button type="button" class="chip" onClick=${() => back(each)}>${t("past.undo")}</button></li>`)}</ul>`}
    <h4>${t("past.whole")}</h4><p class="small dim">${t("past.whole.more")}</p><p class="actions"><button type="button" class="chip" onClick=${() => setForking(true)}><${Icon} name="image" size=${14} />${t("past.fork")}</button><button type="button" class="chip" onClick=${() => { close(); go("settings"); }}>${t("past.copies")}</button></p>
    ${forking && html`<${MakeFork} at=${from} close=${() => setForking(false)} />`}<//>`;
}

function changes(slots) {
  const rows = Array.isArray(slots) ? slots.slice(0, 6) : [];
  return rows.map((one) => `${one.slot}: ${one.before ? `${line(one.before, 40)} \u2192 ` : ""}${line(one.after, 60)}`).join("; ");
}
