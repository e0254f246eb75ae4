// What changed between the moment that is looked at and now; forks; how an image is brought back.
import { html } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { label, words } from "./kinds.js";
import { act, copy, Dialog, Empty, IconButton, Trouble, useAsked, Waiting } from "./parts.js";
import { clean, line } from "./safe.js";
import { choose } from "./store.js";
import { moment, size, t } from "./words.js";

const DID = { new: "in", gone: "out", deleted: "out", changed: "at" };
const UNNAMED = /^[0-9a-f]{16}$/; // facts and reminders, which are shown in words elsewhere
const HOUSEKEEPING = /^(keep conversations|count uses|note|accept|step|prune)/;

export function Compare({ from, close }) {
  const told = useAsked(() => verb("diff", { body: { a: from } }), [from]);
  const forks = useAsked(() => verb("forks"));
  const one = told.value;
  const objects = (one?.objects || []).filter((each) => !UNNAMED.test(each.object));
  const commits = (one?.transactions || []).filter((each) => !HOUSEKEEPING.test(each.note));
  const isEmpty = one && !objects.length && !one.methods.length && !one.documents.length;
  const back = (row) => act(() => verb("undo", { body: { transaction: row.id } }), t("past.undone"), (done) => verb("undo", { body: { transaction: done.transaction } })).then(told.again);
  const open = (name) => {
    close();
    choose(name);
  };
  return html`<${Dialog} wide title=${t("past.since", { when: one?.transactions[0] ? moment(one.transactions[0].at) : "\u2026" })} close=${close}>
    <${Trouble} error=${told.error} />${!one && told.busy && html`<${Waiting} />`}
    ${isEmpty && html`<${Empty} icon="clock" title=${t("past.same")} />`}
    ${one && html`${objects.length > 0 && html`<h4>${t("image.objects")}</h4><ul class="plain">${objects.slice(0, 100).map((each) => html`<li><span class=${DID[each.what] || ""}>${t(`past.${each.what === "new" ? "new" : each.what === "changed" ? "changed" : "gone"}`)}</span> <button type="button" class="link" onClick=${() => open(each.object)}>${label(each.object)}</button> <span class="dim small">${clean(changes(each.slots), 240)}</span></li>`)}</ul>`}
      ${one.methods.length > 0 && html`<h4>${t("inspect.methods")}</h4><ul class="plain">${one.methods.slice(0, 100).map((each) => html`<li>${line(`${label(each.object)} \u00b7 ${each.selector}`, 200)} <span class="dim small">${t("past.version", { a: each.before, b: each.after })}</span></li>`)}</ul>`}
      ${one.documents.length > 0 && html`<h4>${t("know.documents")}</h4><ul class="plain">${one.documents.slice(0, 60).map((each) => html`<li>${line(each.document.replace(/^\w+:(.*\/)?/, ""), 160)} <span class="dim small">${line(each.document.split(":")[0], 20)}</span></li>`)}</ul>`}
      <h4>${t("past.commits", { n: commits.length })}</h4><ul class="plain">${commits.slice(-60).reverse().map((each) => html`<li class="commit"><time class="dim">${moment(each.at)}</time> <span class="grow">${words(each.note)}</span><button type="button" class="chip" onClick=${() => back(each)}>${t("past.undo")}</button></li>`)}</ul>`}
    <h4>${t("past.whole")}</h4><p class="small dim">${t("past.whole.more")}</p>${["fork", "restore"].map((name) => html`<p class="inline"><code class="command grow">${t(`machine.${name}.command`)}</code><${IconButton} name="copy" label=${t("copy")} onClick=${() => copy(t(`machine.${name}.command`))} /></p>`)}
    ${forks.value?.forks?.length > 0 && html`<h4>${t("space.forks")}</h4><ul class="plain">${forks.value.forks.map((each) => html`<li><b>${line(each.name, 60)}</b> <span class="dim">${each.made ? moment(each.made) : ""} · ${size(each.bytes || 0)}</span> <code>batos --home ${line(each.home, 120)}</code></li>`)}</ul>`}<//>`;
}

function changes(slots) {
  const rows = Array.isArray(slots) ? slots.slice(0, 6) : [];
  return rows.map((one) => `${one.slot}: ${one.before ? `${line(one.before, 40)} \u2192 ` : ""}${line(one.after, 60)}`).join("; ");
}
