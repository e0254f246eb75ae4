// One object: what it delegates to, its slots, its methods; each change can be taken back.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { ask, place, verb } from "./ask.js";
import { groupOf, label } from "./kinds.js";
import { Method } from "./method.js";
import { act, Dialog, IconButton, Sure, Trouble, useAsked, Waiting } from "./parts.js";
import { clean, read, spell } from "./safe.js";
import { choose, put, state, use } from "./store.js";
import { Teach } from "./teach.js";
import { Cell, isRich, Value } from "./values.js";
import { t } from "./words.js";

export default function Inspector({ name, selector, close }) {
  const { at, tick } = use("at", "tick");
  const told = useAsked(() => ask(place(name, "", at)), [name, at, tick]);
  const [teaching, setTeaching] = useState(false);
  const box = useRef(null);
  useEffect(() => {
    if (matchMedia("(max-width: 760px)").matches) box.current.focus();
  }, []);
  const one = told.value;
  const isGone = told.error?.status === 404;
  return html`<div class="inspector" ref=${box} tabindex="-1" onKeyDown=${(e) => e.key === "Escape" && !e.defaultPrevented && !/^(INPUT|TEXTAREA)$/.test(e.target.tagName) && (e.stopPropagation(), close())}>
    <header><i class=${`dot big ${groupOf({ name, library: state.nodes.find((n) => n.name === name)?.library })}`} aria-hidden="true"></i>
      <div class="grow"><h2>${label(name)}</h2><code class="dim">${clean(name, 120)}</code></div>
      <${IconButton} name="close" label=${t("close")} onClick=${close} /></header>
    <div class="scroll">
      ${isGone ? html`<p class="dim pad">${t(at ? "inspect.notyet" : "inspect.gone", { name: label(name) })}</p>` : html`<${Trouble} error=${told.error} again=${told.again} />`}
      ${!one && told.busy && html`<${Waiting} />`}
      ${one && !isGone && html`<${Parents} one=${one} at=${at} again=${told.again} />
        <${Slots} one=${one} at=${at} again=${told.again} />
        <section class="part"><h3>${t("inspect.methods")} ${!at && html`<${IconButton} name="plus" label=${t("teach.title")} onClick=${() => setTeaching(true)} />`}</h3>
          <${Methods} one=${one} at=${at} selector=${selector} again=${told.again} /></section>
        <${More} one=${one} at=${at} close=${close} />`}
    </div>
    ${teaching && html`<${Teach} target=${name} close=${() => setTeaching(false)} done=${told.again} />`}
  </div>`;
}

function Parents({ one, at, again }) {
  const change = async (name, how) => {
    const undo = (told) => verb("undo", { body: { transaction: told.transaction } });
    await act(() => verb("parents", { target: one.name, body: { [how]: [name] } }), t(`inspect.parent.${how}`, { name: label(name) }), undo);
    again();
  };
  const left = state.nodes.filter((each) => each.name !== one.name && !one.parents.includes(each.name)).slice(0, 1000);
  return html`<p class="chips"><span class="dim small">${t(one.parents.length ? "inspect.delegates" : "inspect.alone")}</span>
    ${one.parents.map((name) => html`<span class="chip split"><button type="button" onClick=${() => choose(name)}>${label(name)}</button>${!at && one.parents.length > 1 && html`<button type="button" class="off" aria-label=${t("inspect.parent.drop", { name: label(name) })} onClick=${() => change(name, "remove")}>×</button>`}</span>`)}
    ${!at && html`<select class="field add" title=${t("inspect.parent.add.label")} aria-label=${t("inspect.parent.add.label")} onChange=${(e) => e.target.value && (change(e.target.value, "add"), (e.target.value = ""))}><option value="">+</option>${left.map((each) => html`<option value=${each.name}>${label(each.name)}</option>`)}</select>`}</p>
    ${one.failing?.length > 0 && html`<p class="notice bad">${t("inspect.failing", { names: one.failing.map((s) => clean(s, 60)).join(", ") })}</p>`}
    ${one.tainted?.length > 0 && html`<p class="notice warn">${t("inspect.tainted", { names: one.tainted.map((s) => clean(spell(s), 60)).join(", ") })}</p>`}`;
}

function Slots({ one, at, again }) {
  const [adding, setAdding] = useState(false);
  const [conflict, setConflict] = useState("");
  const path = (slot) => place(one.name, `/slots/${encodeURIComponent(slot)}`);
  const write = async (slot, method, body, seen) => ask(path(slot), { method, body, headers: { "if-match": seen } });
  const change = async (slot, value, isGone = false, isStale = false) => {
    const had = slot in one.slots;
    const was = one.slots[slot];
    let tag = "*";
    const work = async () => {
      try {
        if (isStale) throw { status: 412 };
        const told = isGone ? await write(slot, "DELETE", undefined, one.etag) : await write(slot, "PUT", { value }, one.etag);
        tag = told.etag || "*";
        setConflict("");
      } catch (error) {
        if (error.status === 412) setConflict(slot);
        throw error.status === 412 ? new Error(t("slot.conflict")) : error;
      }
    };
    const undo = async () => {
      if (had) await write(slot, "PUT", { value: was }, tag);
      else await write(slot, "DELETE", undefined, tag);
      again();
    };
    await act(work, t(isGone ? "slot.removed" : "slot.kept", { name: slot }), undo);
    again();
  };
  const names = Object.keys(one.slots);
  const add = (event) => {
    event.preventDefault();
    const { name, value } = event.target.elements;
    change(name.value, read(value.value));
    setAdding(false);
  };
  return html`<section class="part"><h3>${t("inspect.slots")} ${!at && html`<${IconButton} name="plus" label=${t("slot.add")} onClick=${() => { setAdding(!adding); setTimeout(() => document.querySelector(".inspector [data-first]")?.focus(), 30); }} />`}</h3>
    ${conflict && html`<p class="notice warn" role="alert">${t("slot.conflict")}</p>`}
    ${adding && html`<form class="inline" onSubmit=${add}><input class="field" name="name" placeholder=${t("slot.name")} aria-label=${t("slot.name")} pattern="[A-Za-z_][A-Za-z0-9_]*" required data-first /><input class="field" name="value" placeholder=${t("slot.value")} aria-label=${t("slot.value")} /><button class="chip solid">${t("slot.set")}</button></form>`}
    <dl class="slots">${names.map((name) => html`<dt>${clean(name, 80)}</dt><dd><${Slot} key=${name} name=${name} value=${one.slots[name]} fixed=${Boolean(at)} set=${(v, isStale) => change(name, v, false, isStale)} remove=${() => change(name, null, true)} /></dd>`)}</dl>
    ${!names.length && !adding && html`<p class="dim">${t("inspect.none")}</p>`}</section>`;
}

function Slot({ name, value, fixed, set, remove }) {
  const [text, setText] = useState(null);
  const box = useRef(null);
  const done = useRef(false);
  const seen = useRef(""); // what it was when the change began: meanwhile others may have set it
  useEffect(() => {
    if (text === null) return;
    box.current.focus();
    box.current.select();
  }, [text === null]);
  const now = typeof value === "string" ? value : spell(value, 1);
  const begin = () => {
    done.current = false;
    seen.current = now;
    setText(now);
  };
  const end = (keep) => {
    if (done.current) return;
    done.current = true;
    if (keep && text !== seen.current) set(typeof value === "string" && typeof read(text) !== "object" ? text : read(text), now !== seen.current);
    setText(null);
  };
  const keys = (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      end(false);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      end(true);
    }
  };
  if (text !== null) {
    return html`<textarea class="field" ref=${box} rows=${Math.min(10, text.split("\n").length)} aria-label=${t("slot.edit", { name })} value=${text} onInput=${(e) => setText(e.target.value)} onKeyDown=${keys} onBlur=${() => end(true)}></textarea>
      <small class="dim">${t("slot.keys")}</small>`;
  }
  const isRef = value && typeof value === "object" && "ref" in value;
  return html`<div class="slot">${isRef ? html`<${Cell} value=${value} />` : html`<button type="button" class=${`value ${typeof value}`} disabled=${fixed} title=${fixed ? null : t("slot.edit", { name })} aria-label=${fixed ? null : `${t("slot.edit", { name })}: ${clean(spell(value), 80)}`} onClick=${begin}>${clean(spell(value), 600)}</button>`}
    ${!fixed && html`<button type="button" class="off" aria-label=${t("slot.remove", { name })} title=${t("slot.remove", { name })} onClick=${remove}>×</button>`}</div>
    ${!isRef && isRich(value) && html`<${Value} value=${value} />`}`;
}

function Methods({ one, at, selector, again }) {
  const [text, setText] = useState("");
  const [open, setOpen] = useState(selector || "");
  useEffect(() => setOpen(selector || ""), [selector]);
  const all = Object.entries(one.methods);
  const own = all.filter(([name, each]) => each.status !== "primitive" && (!text || name.includes(text)));
  const given = all.filter(([, each]) => each.status === "primitive");
  const borrowed = Object.entries(one.inherited || {});
  return html`${all.length > 12 && html`<input type="search" class="field" placeholder=${t("inspect.search")} aria-label=${t("inspect.search")} value=${text} onInput=${(e) => setText(e.target.value.trim())} />`}
    ${own.map(([name, each]) => html`<${Method} key=${name} target=${one.name} selector=${name} told=${each} at=${at} open=${open === name} toggle=${() => setOpen(open === name ? "" : name)} again=${again} />`)}
    ${!own.length && html`<p class="dim">${t(text ? "image.none" : "inspect.untaught")}</p>`}
    ${given.length > 0 && html`<details><summary>${t("inspect.given", { n: given.length })}</summary><p class="chips">${given.map(([name]) => html`<code class="tag">${name}</code>`)}</p></details>`}
    ${borrowed.length > 0 && html`<details><summary>${t("inspect.inherited", { n: borrowed.length })}</summary><p class="chips">${borrowed.map(([name, from]) => html`<button type="button" class="tag" onClick=${() => choose(from, name)} title=${label(from)}>${name}</button>`)}</p></details>`}`;
}

function More({ one, at, close }) {
  const [renaming, setRenaming] = useState(false);
  if (at) return null;
  const undo = (told) => verb("undo", { body: { transaction: told.transaction } });
  const remove = async () => {
    const done = await act(() => verb("delete", { target: one.name, body: {} }), t("inspect.deleted", { name: label(one.name) }), undo);
    if (done) close();
  };
  const rename = async (event) => {
    event.preventDefault();
    const name = event.target.elements.name.value;
    const told = await act(() => verb("rename", { target: one.name, body: { name } }), t("inspect.renamed", { name }), undo);
    setRenaming(false);
    if (told) {
      choose(told.object);
      put({ tick: state.tick + 1 });
    }
  };
  return html`<p class="actions part"><button type="button" class="chip" onClick=${() => setRenaming(true)}>${t("inspect.rename")}</button>
    <${Sure} label=${t("inspect.delete")} ask=${t("inspect.delete.ask", { name: label(one.name) })} onSure=${remove} />
    ${renaming && html`<${Dialog} title=${t("inspect.rename")} close=${() => setRenaming(false)}><form class="form" onSubmit=${rename}><label>${t("image.name")}<input class="field" name="name" required pattern="[A-Za-z_][A-Za-z0-9_]*" defaultValue=${one.name} data-first /></label><p class="actions"><button class="chip solid">${t("inspect.rename")}</button></p></form><//>`}</p>`;
}
