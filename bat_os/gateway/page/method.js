// One method: source, how to run it, where it comes from, its versions; and what can be done to it.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { ask, place, verb } from "./ask.js";
import { act, Badge, copy, Icon, IconButton, Trouble, useAsked, Waiting } from "./parts.js";
import { clean, line, readList, spell } from "./safe.js";
import { choose } from "./store.js";
import { label, words } from "./kinds.js";
import { Source } from "./source.js";
import { Teach } from "./teach.js";
import { isRich, Value } from "./values.js";
import { clock, lasting, moment, t } from "./words.js";

const call = (one) => `${(one.args || []).map((each) => spell(each)).join(", ")}`;

function signature(told) {
  if (told.signature) return line(told.signature, 90).replace(/^\w+/, "");
  const found = /def \w+\(self(?:, *)?(.*?)\)\s*(?:->[^\n]*)?:\s*$/ms.exec(told.source || "");
  return found ? `(${line(found[1], 80)})` : "";
}

export function Method({ target, selector, told, at, open, toggle, again }) {
  return html`<article class=${`method ${open ? "open" : ""}`}>
    <button type="button" class="method-head" aria-expanded=${open} onClick=${toggle}>
      <b>${selector}</b><span class="sig">${signature(told)}</span><${Badge} status=${told.status} /></button>
    ${open && told.signature && html`<div class="method-body"><p>${clean(told.about, 600)}</p><p class="dim small">${t("method.native")}</p>${!at && html`<${Run} target=${target} selector=${selector} one=${{ source: `def ${told.signature.replace("(", "(self, ").replace(", )", ")")}` }} />`}</div>`}
    ${open && !told.signature && html`<${Body} target=${target} selector=${selector} told=${told} at=${at} again=${again} />`}</article>`;
}

function Body({ target, selector, told, at, again }) {
  const why = useAsked(() => ask(place(target, `/methods/${selector}`, at)), [target, selector, at, told.version, told.status]);
  const one = why.value;
  const [tab, setTab] = useState("source");
  const tabs = ["source", "origin", "versions"];
  const next = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const name = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    setTab(name);
    event.currentTarget.querySelector(`[data-tab=${name}]`).focus();
  };
  return html`<div class="method-body"><div class="tabs" role="tablist" aria-label=${selector} onKeyDown=${next}>${tabs.map(
    (name) => html`<button type="button" role="tab" data-tab=${name} tabindex=${tab === name ? 0 : -1} aria-selected=${tab === name} onClick=${() => setTab(name)}>${t(`method.${name}`)}</button>`,
  )}</div>
    <div role="tabpanel" aria-label=${t(`method.${tab}`)}>
    <${Trouble} error=${why.error} again=${why.again} />${!one && !why.error && html`<${Waiting} />`}
    ${one && tab === "source" && html`<div class="with-copy"><${Source} text=${one.source || told.source || ""} /><${IconButton} name="copy" label=${t("copy")} onClick=${() => copy(one.source || "")} /></div>
      ${!at && html`<${Run} target=${target} selector=${selector} one=${one} />`}
      ${!at && html`<${Actions} target=${target} selector=${selector} one=${one} told=${told} again=${again} />`}`}
    ${one && tab === "origin" && html`<${Origin} one=${one} />`}
    ${one && tab === "versions" && html`<${Versions} target=${target} selector=${selector} at=${at} again=${again} />`}</div></div>`;
}

function Run({ target, selector, one }) {
  const example = one.examples?.[0];
  const [args, setArgs] = useState("");
  const [answer, setAnswer] = useState(null);
  const [error, setError] = useState(null);
  const run = async (event) => {
    event.preventDefault();
    setError(null);
    try {
      setAnswer(await ask(place(target, `/${selector}`), { method: "POST", body: { args: readList(args) } }));
    } catch (problem) {
      setAnswer(null);
      setError(problem instanceof SyntaxError ? new Error(t("method.args.json")) : problem);
    }
  };
  const rich = answer && isRich(answer.result);
  const end = useRef(null);
  useEffect(() => { if (answer || error) end.current.scrollIntoView({ block: "nearest" }); }, [answer, error]);
  const takes = /def \w+\(self\s*\)/.test(one.source || "") ? t("method.args.none") : example ? t("method.args.as", { args: line(call(example), 60) }) : t("method.args");
  return html`<form class="inline run" onSubmit=${run}><input class="field mono" aria-label=${t("method.args")} placeholder=${takes} value=${args} onInput=${(e) => setArgs(e.target.value)} spellcheck="false" /><button class="chip solid"><${Icon} name="bolt" size=${14} />${t("method.run")}</button></form>
    ${answer && html`<output class=${rich ? "" : "answer"}>${rich ? html`<${Value} value=${answer.result} />` : html`<span>${clean(spell(answer.result), 2000) || "\u2013"}</span>`}<small class="dim">${lasting(answer.seconds || 0)}</small></output>
      ${answer.printed && html`<pre class="draft">${clean(answer.printed, 4000)}</pre>`}`}
    <${Trouble} error=${error} /><i ref=${end}></i>`;
}

function Actions({ target, selector, one, told, again }) {
  const [teaching, setTeaching] = useState(false);
  const send = (name, body = {}) => verb(name, { target, selector, body });
  const does = async (name, back, body) => {
    await act(() => send(name, body), t(`did.${name}`, { name: selector }), back && (async () => { await send(...[back].flat()); again(); }));
    again();
  };
  const isGone = told.status === "unlearned";
  return html`<p class="actions">
    ${one.waiting > 0 && html`<button type="button" class="chip solid good" onClick=${() => does("approve", "unlearn")}>${t("do.approve.waiting")}</button>`}
    ${told.status === "provisional" && html`<button type="button" class="chip solid good" onClick=${() => does("approve", "unlearn")}><${Icon} name="check" size=${14} />${t("do.approve")}</button>`}
    ${!isGone && html`<button type="button" class="chip" onClick=${() => setTeaching(true)}>${t("do.change")}</button>
      <button type="button" class="chip" onClick=${() => (one.pinned ? does("unpin", ["pin", { version: one.pinned }]) : does("pin", "unpin"))}><${Icon} name="pin" size=${14} />${t(one.pinned ? "do.unpin" : "do.pin")}</button>
      <button type="button" class="chip bad" onClick=${() => does("unlearn", "redo")}>${t("do.unlearn")}</button>`}
    ${(isGone || told.versions > told.version) && html`<button type="button" class="chip" onClick=${() => does("redo", "unlearn")}>${t("do.redo")}</button>`}
    ${teaching && html`<${Teach} target=${target} selector=${selector} source=${one.source} examples=${one.examples} close=${() => setTeaching(false)} done=${again} />`}</p>`;
}

function Origin({ one }) {
  const origin = one.origin || {};
  const who = [origin.persona, origin.model, origin.adapter].filter(Boolean).map((each) => line(each, 60)).join(" \u00b7 ");
  const facts = [
    ["who", who && (origin.persona === "ARCHITECT" ? t("origin.you") : who)],
    ["when", origin.created && moment(origin.created)],
    ["wish", one.brief?.text && clean(one.brief.text, 400)],
    ["uses", one.uses && `${one.uses.count}${one.uses.last ? `, ${clock(one.uses.last)}` : ""}`],
    ["mission", one.mission?.seconds && `${lasting(one.mission.seconds)} \u00b7 ${t("talk.calls", { n: one.mission.model_calls || 0 })}`],
    ["approval", one.approval?.at && moment(one.approval.at)],
    ["sha", one.sha256 && one.sha256.slice(0, 16)],
  ].filter(([, value]) => value);
  const candidates = one.candidates || [];
  return html`<dl class="facts-list">${facts.map(([key, value]) => html`<dt>${t(`origin.${key}`)}</dt><dd>${value}</dd>`)}</dl>
    ${one.examples?.length > 0 && html`<h4>${t("origin.examples")}</h4><ul class="plain mono">${one.examples.slice(0, 12).map((each) => html`<li>${line(call(each), 120)} → <b>${line(spell(each.result), 120)}</b></li>`)}</ul>`}
    ${candidates.length > 0 && html`<h4>${t("origin.candidates", { n: candidates.length })}</h4><ul class="plain">${candidates.slice(0, 16).map((each, i) => html`<li><span class=${each.problem ? "verdict bad" : "verdict good"}>${i + 1}</span> ${clean(each.problem || each.verdict || t("origin.held"), 200)}</li>`)}</ul>`}
    ${one.passages?.length > 0 && html`<h4>${t("origin.passages")}</h4><ul class="plain">${one.passages.slice(0, 8).map((each) => html`<li>${line(each.title || each.doc_id || spell(each), 160)}</li>`)}</ul>`}
    ${one.grants?.length > 0 && html`<h4>${t("origin.grants")}</h4><ul class="plain">${one.grants.map((each) => html`<li><button type="button" class="link" onClick=${() => choose(each.object)}>${label(each.object)}</button> ${clean(each.what, 160)}</li>`)}</ul>`}
    ${one.faults?.length > 0 && html`<h4>${t("origin.faults")}</h4><ul class="plain">${one.faults.slice(0, 8).map((each) => html`<li class="bad-text">${clean(each.message || each.error || spell(each), 240)}</li>`)}</ul>`}`;
}

function Versions({ target, selector, at, again }) {
  const told = useAsked(() => verb("versions", { target, selector, body: at ? { at } : {} }), [target, selector, at]);
  const [pair, setPair] = useState(null);
  const all = told.value?.versions || [];
  const back = async (version) => {
    const now = told.value.current;
    await act(() => verb("redo", { target, selector, body: { version } }), t("did.redo", { name: selector }), () => verb("redo", { target, selector, body: { version: now } }).then(again));
    told.again();
    again();
  };
  return html`<${Trouble} error=${told.error} /><ol class="plain versions">${all.slice().reverse().map((one) => html`<li>
    <b>${one.version}</b><span class="grow"><${Badge} status=${one.status} /> ${one.current && html`<${Badge} status="now">${t("version.current")}<//>`}
    <small class="dim">${line(one.persona === "ARCHITECT" ? t("origin.you") : one.persona || "", 30)} · ${one.created ? clock(one.created) : ""} · ${t("version.lines", { n: one.lines })}</small></span>
    ${one.version > 1 && html`<button type="button" class="chip" onClick=${() => setPair([one.version - 1, one.version])}>${t("version.diff")}</button>`}
    ${!one.current && !at && html`<button type="button" class="chip" onClick=${() => back(one.version)}>${t("version.back")}</button>`}</li>`)}</ol>
    ${pair && html`<${Diff} target=${target} selector=${selector} pair=${pair} />`}
    ${told.value?.moves?.length > 0 && html`<details><summary>${t("version.moves")}</summary><ul class="plain">${told.value.moves.slice(-12).map((one) => html`<li class="dim">${words(spell(one.what || one.note || one))}</li>`)}</ul></details>`}`;
}

function Diff({ target, selector, pair: [a, b] }) {
  const told = useAsked(() => verb("diff-method", { target, selector, body: { a, b } }), [a, b]);
  if (!told.value) return html`<${Trouble} error=${told.error} />`;
  return html`<h4>${t("version.between", { a, b })}</h4><${Lines} text=${told.value.same ? t("version.same") : spell(told.value.diff)} />`;
}

/** A diff: what came and what went, by sign as well as by colour. */
export const Lines = ({ text }) =>
  html`<pre class="diff">${clean(text, 20000).split("\n").map((row) => html`<span class=${row.startsWith("+") ? "in" : row.startsWith("-") ? "out" : row.startsWith("@") ? "at" : ""}>${row}${"\n"}</span>`)}</pre>`;
