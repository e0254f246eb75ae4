// What is known: documents to search, add and forget; facts, lists and reminders.
import { html, useRef, useState } from "./vendor/preact.js";
import { ask, place, verb } from "./ask.js";
import { forget, haveBack, learnFiles, learnText } from "./files.js";
import { label } from "./kinds.js";
import { act, Badge, Dialog, Empty, Icon, Trouble, useAsked, Waiting, useWish } from "./parts.js";
import { clean, line } from "./safe.js";
import { choose, use } from "./store.js";
import { clock, knows, t } from "./words.js";

const HIDDEN = new Set(["method", "seed", "codex"]); // what BAT OS keeps for itself

export default function Knowledge() {
  return html`<div class="columns"><div class="scroll column"><${Search} /><${Documents} /></div><div class="scroll column"><${Facts} /><${Lists} /></div></div>`;
}

function Search() {
  const { at } = use("at");
  const [text, setText] = useState("");
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const search = async (event) => {
    event.preventDefault();
    setError(null);
    try {
      setFound(text.trim() ? (await verb("search", { body: { text: text.trim(), limit: 12, ...(at ? { at } : {}) } })).passages : null);
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<section class="block"><h3>${t("know.search")}</h3><form class="inline" role="search" onSubmit=${search}><input type="search" class="field" placeholder=${t("know.search.more")} aria-label=${t("know.search")} value=${text} onInput=${(e) => { setText(e.target.value); if (!e.target.value) setFound(null); }} /><button class="chip solid">${t("know.find")}</button></form>
    <${Trouble} error=${error} />
    ${found && html`<ul class="rows" aria-live="polite">${found.map((one) => html`<li class="item passage"><div class="grow"><b>${line(one.title, 120)}</b> <${Badge} status="shipped">${knows(`doc.${one.kind}`) ? t(`doc.${one.kind}`) : one.kind}<//><p>${clean(one.text, 700)}</p></div>
      <progress class="mark" max="1" value=${one.similarity} title=${t("know.near", { n: Math.round(one.similarity * 100) })} aria-label=${t("know.near", { n: Math.round(one.similarity * 100) })}></progress></li>`)}</ul>
      ${!found.length && html`<${Empty} icon="search" title=${t("image.none")} />`}`}</section>`;
}

function Documents() {
  const { tick, at } = use("tick", "at");
  const [adding, setAdding] = useState(false);
  useWish("know.text", () => setAdding(true));
  const file = useRef(null);
  const told = useAsked(() => verb("documents", { body: at ? { at } : {} }), [tick, at]);
  const all = (told.value?.documents || []).filter((one) => !HIDDEN.has(one.kind));
  const [open, setOpen] = useState(null);
  const drop = (one) => act(() => forget(one.doc_id), t("know.forgotten", { name: line(one.title, 80) }), haveBack);
  const dropped = (event) => {
    event.preventDefault();
    learnFiles([...event.dataTransfer.files]);
  };
  return html`<section class="block" onDragOver=${(e) => e.preventDefault()} onDrop=${at ? null : dropped}><h3>${t("know.documents")}${!at && html`<span class="filters"><button type="button" class="chip" onClick=${() => file.current.click()}><${Icon} name="file" size=${14} />${t("know.file")}</button><button type="button" class="chip" onClick=${() => setAdding(true)}><${Icon} name="plus" size=${14} />${t("know.text")}</button></span>`}</h3>
    <input type="file" multiple hidden ref=${file} onChange=${(e) => { learnFiles([...e.target.files]); e.target.value = ""; }} />
    <${Trouble} error=${told.error} again=${told.again} />${told.busy && !told.value && html`<${Waiting} />`}
    ${told.value && !all.length && html`<${Empty} icon="knowledge" title=${t("know.empty")}>${t("know.empty.more")}<//>`}
    <ul class="rows">${all.slice(0, 300).map((one) => html`<li class="item" key=${one.doc_id}><${Icon} name="file" size=${16} /><div class="grow"><button type="button" class="link title" onClick=${() => setOpen(one)}>${line(one.title, 140)}</button><p class="small dim">${knows(`doc.${one.kind}`) ? t(`doc.${one.kind}`) : one.kind} · ${t("know.passages", { n: one.passages })}</p></div>
      ${!at && html`<button type="button" class="chip" onClick=${() => drop(one)}>${t("know.forget")}</button>`}</li>`)}</ul>
    ${open && html`<${Contents} one=${open} close=${() => setOpen(null)} />`}
    ${adding && html`<${AddText} close=${() => setAdding(false)} />`}</section>`;
}

/** Some passages of a document, in its order, and the methods whose writers were shown it. */
function Contents({ one, close }) {
  const { at } = use("at");
  const told = useAsked(() => verb("search", { body: { text: one.title, limit: 50, ...(at ? { at } : {}) } }), [one.doc_id, at]);
  const used = useAsked(() => verb("recall", { body: { document: one.doc_id } }), [one.doc_id]);
  const own = (told.value?.passages || []).filter((each) => each.doc_id === one.doc_id).sort((a, b) => a.position - b.position);
  const methods = used.value?.methods || [];
  const facts = Object.entries(one.meta || {}).filter(([key, value]) => ["source", "format", "author", "pages", "language"].includes(key) && value);
  const open = (each) => {
    close();
    choose(each.object || each.target, each.selector);
  };
  return html`<${Dialog} wide title=${line(one.title, 120)} close=${close}><dl class="facts-list">${facts.map(([key, value]) => html`<dt>${knows(`know.${key}`) ? t(`know.${key}`) : key}</dt><dd>${line(value, 200)}</dd>`)}<dt>${t("know.size")}</dt><dd>${t("know.passages", { n: one.passages })}</dd></dl>
    <h4>${t("know.asked")}</h4>${methods.length > 0 ? html`<ul class="plain">${methods.map((each) => html`<li><button type="button" class="link" onClick=${() => open(each)}>${label(each.object || each.target || "")} · ${line(each.selector, 80)}</button></li>`)}</ul>` : html`<p class="small dim">${t("know.asked.none")}</p>`}
    <${Trouble} error=${told.error} />${told.busy && !told.value ? html`<${Waiting} />` : html`<ol class="rows passages">${own.map((each) => html`<li class="item passage"><p>${clean(each.text, 4000)}</p></li>`)}</ol>`}<//>`;
}

function AddText({ close }) {
  const add = async (event) => {
    event.preventDefault();
    const { title, text } = event.target.elements;
    if (await learnText(title.value, text.value)) close();
  };
  return html`<${Dialog} title=${t("know.text")} close=${close}><form class="form" onSubmit=${add}><label>${t("know.title")}<input class="field" name="title" required maxlength="180" data-first /></label>
    <label>${t("know.body")}<textarea class="field" name="text" rows="10" required maxlength="800000"></textarea></label><p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button class="chip solid">${t("know.learn")}</button></p></form><//>`;
}

function Facts() {
  const { tick, at } = use("tick", "at");
  const told = useAsked(() => ask(place("memory_obj", "/facts"), { method: "POST", body: at ? { at } : {} }), [tick, at]);
  const all = Array.isArray(told.value?.result) ? told.value.result.slice().reverse() : [];
  const say = (text) => verb("say", { body: { text } });
  const forget = (one) => act(() => say(`forget that ${one.text}`), (answer) => answer.text, () => say("undo that").then(told.again)).then(told.again);
  return html`<section class="block"><h3>${t("know.facts")}</h3><${Trouble} error=${told.error?.status === 404 ? null : told.error} />
    ${!told.busy && !all.length && html`<${Empty} icon="clock" title=${t("know.facts.empty")}>${t("know.facts.more")}<//>`}
    <ul class="rows">${all.slice(0, 200).map((one) => html`<li class="item"><div class="grow"><p>${clean(one.text, 600)}</p><p class="small dim">${one.told_at ? t("know.told", { when: clock(Date.parse(one.told_at) / 1000) }) : ""}${one.where ? ` \u00b7 ${line(one.where, 80)}` : ""}</p></div>
      ${!at && html`<button type="button" class="chip" onClick=${() => forget(one)}>${t("know.forget")}</button>`}</li>`)}</ul></section>`;
}

const lists = (selector, args) => ask(place("lists_obj", `/${selector}`), { method: "POST", body: { args } });

/** One list: its items are ticked, added and taken off; each can be undone. */
function List({ name, rows, at }) {
  const [text, setText] = useState("");
  const tick = (one) => act(() => lists("tick", [one.text, name, !one.done]), t(one.done ? "list.open" : "list.done", { text: line(one.text, 60) }), () => lists("tick", [one.text, name, Boolean(one.done)]));
  const drop = (one) => act(() => lists("remove", [one.text, name]), t("list.removed", { text: line(one.text, 60) }), () => lists("add", [one.text, name]));
  const add = (event) => {
    event.preventDefault();
    const item = text.trim();
    if (!item) return;
    setText("");
    act(() => lists("add", [item, name]), t("list.added", { text: line(item, 60) }), () => lists("remove", [item, name]));
  };
  return html`<article class="card"><header><b>${line(name, 60)}</b><span class="dim small">${t("list.left", { n: rows.filter((one) => !one.done).length })}</span></header>
    <ul class="ticks">${rows.slice(0, 60).map((one) => html`<li class=${one.done ? "ticked" : ""}><label class="grow"><input type="checkbox" checked=${Boolean(one.done)} disabled=${Boolean(at)} onChange=${() => tick(one)} /><span>${clean(one.text, 200)}</span></label>
      ${!at && html`<button type="button" class="off" aria-label=${t("list.remove", { text: line(one.text, 60) })} title=${t("list.remove", { text: line(one.text, 60) })} onClick=${() => drop(one)}>×</button>`}</li>`)}</ul>
    ${!at && html`<form onSubmit=${add}><input class="field tiny" aria-label=${t("list.add", { name })} placeholder=${t("list.add", { name })} value=${text} maxlength="200" onInput=${(e) => setText(e.target.value)} /></form>`}</article>`;
}

function Lists() {
  const { tick, at } = use("tick", "at");
  const told = useAsked(() => ask(place("lists_obj", "", at)), [tick, at]);
  const all = Object.entries(told.value?.slots?.lists || {}).filter(([, rows]) => Array.isArray(rows));
  const due = useAsked(() => verb("schedules"), [tick]);
  const cancel = (one) => act(() => verb("unschedule", { body: { numbers: [one.number] } }), t("schedule.cancelled"), (done) => verb("undo", { body: { transaction: done.transaction } }));
  const reminders = at ? [] : (due.value?.schedules || []).filter((one) => one.kind === "remind"); // those of now
  return html`<section class="block"><h3>${t("know.lists")}${all.length > 0 && html`<button type="button" class="link small" onClick=${() => choose("lists_obj")}>${t("know.open")}</button>`}</h3>
    ${!told.busy && !all.length && html`<${Empty} icon="check" title=${t("know.lists.empty")}>${t("know.lists.more")}<//>`}
    <div class="cards">${all.map(([name, rows]) => html`<${List} key=${name} name=${name} rows=${rows} at=${at} />`)}</div></section>
    ${reminders.length > 0 && html`<section class="block"><h3>${t("know.reminders")}</h3><ul class="rows">${reminders.map((one) => html`<li class="item"><${Icon} name="clock" size=${16} /><div class="grow">${clean(one.text, 200)}<p class="small dim">${clean(one.when, 120)}${one.next ? ` \u00b7 ${clock(one.next)}` : ""}</p></div>${!at && html`<button type="button" class="chip" onClick=${() => cancel(one)}>${t("schedule.cancel")}</button>`}</li>`)}</ul></section>`}`;
}
