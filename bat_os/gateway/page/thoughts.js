// What is being thought: missions at work and those before, who works on what, and the live log.
import { html, useState } from "./vendor/preact.js";
import { ask, verb } from "./ask.js";
import Bettering from "./bettering.js";
import { label, OVER, words } from "./kinds.js";
import { lookAround } from "./live.js";
import { Log } from "./log.js";
import { act, Approval, Badge, Dialog, Empty, Icon, Trouble, useAsked } from "./parts.js";
import { ALL, clean, line, spell } from "./safe.js";
import { choose, use } from "./store.js";
import { clock, knows, lasting, number, size, t } from "./words.js";

const STATES = ["", "running", "waiting", "complete", "failed"];

export default function Thoughts() {
  return html`<div class="columns thoughts"><div class="scroll column"><${Asking} /><${Minds} /><${Missions} /><${Bettering} /></div><${Log} /></div>`;
}

/** Missions that wait for a permission: each is a card with once, always and no. */
function Asking() {
  const { asking } = use("asking");
  if (!asking.length) return null;
  return html`<section class="block" aria-label=${t("asking")}><h3>${t("asking")}</h3>${asking.slice(0, 12).map((one) => html`<${Leave} key=${one.brief_id} one=${one} />`)}</section>`;
}

function Leave({ one }) {
  const told = useAsked(() => verb("brief.get", { body: { brief_id: one.brief_id } }), [one.brief_id]);
  const [what, setWhat] = useState("");
  const wanted = told.value?.answer?.body?.details || {};
  const isOpen = told.value && !wanted.scope && !wanted.flow && !wanted.effect; // it names nothing that a person has named
  const leave = (way) => act(() => verb("missions.leave", { body: { brief_id: one.brief_id, way, ...(what.trim() ? { what: what.trim() } : {}) } }), t(`missions.leave.${way}`)).then(lookAround);
  const needs = isOpen && !what.trim();
  const lasts = !wanted.effect && (isOpen || !wanted.ways || wanted.ways.includes("always"));
  return html`<article class="consent" role="group" aria-label=${t("talk.consent")}><${Icon} name="shield" size=${26} /><div class="grow"><h3>${words(one.selector)}</h3><p class="text">${clean(told.value?.answer?.body?.message || one.problem || "", ALL)}</p>
    ${wanted.scope && html`<p class="mono small">${clean(wanted.operation || "", ALL)} ${clean(wanted.scope, ALL)}</p>`}
    ${wanted.effect?.whole && html`<details><summary>${t("asking.all")}</summary><pre class="draft">${clean(wanted.effect.whole, ALL)}</pre></details>`}
    ${isOpen && html`<label class="small">${t("asking.what")}<input class="field mono" value=${what} onInput=${(e) => setWhat(e.target.value)} /></label>`}
    <div class="actions"><button type="button" class="chip solid" disabled=${needs} onClick=${() => leave("once")}>${t("leave.once")}</button>${lasts && html`<button type="button" class="chip" disabled=${needs} onClick=${() => leave("always")}>${t("leave.always")}</button>`}<button type="button" class="chip quiet" onClick=${() => leave("no")}>${t("leave.no")}</button></div><p class="dim small">${t("asking.more")}</p></div></article>`;
}

/** The personas: each with its model, and what it does at the moment. */
function Minds() {
  const { running, health } = use("running", "health");
  const told = useAsked(() => verb("personas"));
  const all = (told.value?.personas || []).filter((one) => !one.name.includes(":"));
  const work = new Map([...running.values()].filter((one) => one.persona).map((one) => [one.persona, one]));
  const models = health?.models;
  return html`<section class="block"><h3>${t("minds")}</h3><${Trouble} error=${told.error} again=${told.again} />
    <div class="cards">${all.map((one) => {
      const now = work.get(one.name);
      return html`<article class=${`card ${now ? "at-work" : ""}`}><header><b>${line(one.name, 20).toLowerCase()}</b><${Badge} status=${now ? "running-now" : "idle"}>${t(now ? "minds.works" : "minds.rests")}<//></header>
        <p class="dim small">${clean(one.role, 120)}</p><p class="small">${now ? clean(now.does || now.state, 120) : html`<span class="dim">${line(one.model || t("minds.none"), 50)}</span>`}</p></article>`;
    })}</div>
    ${models && html`<p class="small meter"><span>${t("models.memory", { used: size(models.used), budget: size(models.budget) })}</span><progress max=${models.budget || 1} value=${models.used} aria-label=${t("models.memory", { used: size(models.used), budget: size(models.budget) })}></progress></p>`}
    ${models?.models?.length > 0 && html`<ul class="plain models" aria-label=${t("models")}>${models.models.map((one) => html`<li><b>${line(one.name, 60)}</b> <span class="dim">${[one.in_use ? t("minds.draws", { n: one.in_use }) : one.state === "resident" ? t("minds.idle", { time: lasting(one.idle_seconds || 0) }) : t("models.stored"), one.waiting ? t("minds.waiting", { n: one.waiting }) : "", one.bytes ? size(one.bytes) : "", line(`${one.engine}, ${one.device}`, 40)].filter(Boolean).join(" \u00b7 ")}</span></li>`)}</ul>`}
    ${health?.cell && html`<h4>${t("minds.cell")}</h4><p class="small"><span class=${`verdict ${health.cell.self_test?.through?.length ? "bad" : "good"}`}>${health.cell.self_test?.through?.length ? "!" : "\u2713"}</span> ${t(health.cell.self_test?.through?.length ? "doctor.cell.bad" : "doctor.cell", { kind: line(health.cell.kind || "", 20), n: health.cell.self_test?.held?.length || 0, names: (health.cell.self_test?.through || []).join(", ") })} <span class="dim">${t("minds.calls", { n: health.cell.calls || 0 })}</span></p>`}</section>`;
}

function Missions() {
  const { log, running } = use("log", "running");
  const [kind, setKind] = useState("");
  const [open, setOpen] = useState("");
  const ended = log.filter((one) => one.kind === "mission" && OVER.has(one.state)).length;
  const told = useAsked(() => ask(`/missions?limit=60${kind ? `&state=${kind}` : ""}`), [kind, ended, running.size]);
  const all = told.value?.missions || [];
  return html`<section class="block"><h3>${t("missions")}<span class="filters" role="group" aria-label=${t("log.filter")}>${STATES.map((name) => html`<button type="button" class="tag" aria-pressed=${kind === name} onClick=${() => setKind(name)}>${t(`missions.${name || "all"}`)}</button>`)}</span></h3>
    <${Trouble} error=${told.error} again=${told.again} />
    ${!all.length && !told.busy && html`<${Empty} icon="thoughts" title=${t("missions.empty")}>${t("missions.empty.more")}<//>`}
    <ul class="rows">${all.map((one) => html`<${Mission} key=${one.brief_id} one=${{ ...one, ...running.get(one.brief_id) }} show=${() => setOpen(one.brief_id)} again=${told.again} />`)}</ul>
    ${open && html`<${Details} id=${open} close=${() => setOpen("")} />`}</section>`;
}

function Mission({ one, show, again }) {
  const isOver = OVER.has(one.state);
  const stop = () => act(() => verb("cancel", { body: { brief_id: one.brief_id } }), t("missions.cancelled")).then(again);
  const tone = one.waits ? "waiting-now" : isOver ? one.state : "running-now";
  return html`<li class="item"><div class="grow"><button type="button" class="link title" onClick=${show}>${words(one.selector)}</button>
      <p class="small dim">${label(one.target || "")} · ${clock(one.accepted)}${one.problem ? html` · <span class="bad-text">${clean(one.problem, 160)}</span>` : ""}</p>
      ${!isOver && html`<p class="small">${one.persona && html`<b class="who">${line(one.persona, 14).toLowerCase()}</b> `}${clean(one.detail?.reason || one.does || one.state, 240)}</p><progress max="100" value=${one.pct || 0} aria-label=${t("missions.progress")}></progress>`}
</div>
    <${Badge} status=${tone}>${t(`missions.${one.waits ? "waiting" : isOver ? one.state : "running"}`)}<//>
    ${!isOver && html`<button type="button" class="chip" onClick=${stop}><${Icon} name="stop" size=${14} />${t("talk.stop")}</button>`}</li>`;
}

function Details({ id, close }) {
  const told = useAsked(() => verb("brief.get", { body: { brief_id: id, after_seq: 0 } }), [id]);
  const one = told.value;
  const body = one?.answer?.body;
  const seconds = body?.seconds;
  const speed = one?.tokens && seconds ? t("missions.speed", { n: Math.round(one.tokens / seconds) }) : "";
  return html`<${Dialog} wide title=${one ? words(one.selector) : t("loading")} close=${close}><${Trouble} error=${told.error} />
    ${one && html`<dl class="facts-list"><dt>${t("missions.for")}</dt><dd><button type="button" class="link" onClick=${() => { close(); choose(one.target, one.selector); }}>${label(one.target)}</button></dd>
      <dt>${t("origin.when")}</dt><dd>${clock(one.accepted)}</dd>
      <dt>${t("origin.mission")}</dt><dd>${seconds ? lasting(seconds) : "\u2013"} · ${t("talk.calls", { n: one.model_calls || 0 })} · ${t("missions.tokens", { n: one.tokens || 0 })} ${speed}</dd>
      ${body && html`<dt>${t("missions.answer")}</dt><dd class=${one.answer.type === "error" ? "bad-text" : ""}>${clean(one.answer.type === "error" ? body.message : spell(body.result), 1200)}</dd>`}</dl>
      ${body?.code && html`<p class="actions"><${Approval} error=${body} done=${close} /></p>`}
      ${one.acted?.length > 0 && html`<h4>${t("missions.did")}</h4><ol class="rows acted">${one.acted.slice(0, 60).map((each) => html`<li><code>${clean(each.step, 600)}</code><span class=${each.error ? "bad-text" : "dim"}>→ ${clean(each.error || each.gave, 400)}</span> <small class="dim">${each.seconds ? lasting(each.seconds) : ""}</small></li>`)}</ol>`}
      ${one.budget && html`<h4>${t("missions.budget")}</h4><dl class="abilities">${Object.entries(one.budget).map(([name, each]) => html`<div><dt>${knows(`budget.${name}`) ? t(`budget.${name}`) : name}</dt><dd><progress class="mark" max=${each.allowed} value=${each.spent} aria-label=${name}></progress> ${number(each.spent)} / ${number(each.allowed)}</dd></div>`)}</dl>`}
      ${body?.effects?.length > 0 && html`<h4>${t("effects.done")}</h4><ul class="plain">${body.effects.slice(0, 40).map((each) => html`<li>${clean(each.what || spell(each), 300)}</li>`)}</ul>`}
      <h4>${t("missions.steps")}</h4><ol class="plain">${(one.events || []).map((each) => html`<li><b class="who">${line(each.persona || "", 16).toLowerCase()}</b> ${clean(each.does || each.state, 300)}</li>`)}</ol>`}<//>`;
}
