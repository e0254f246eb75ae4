// The world outside: what may be reached, what waits to be done there, what happens at a time.
import { html, useState } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { Command } from "./copies.js";
import { label } from "./kinds.js";
import { act, Badge, Dialog, Empty, Icon, Sure, Trouble, useAsked, Waiting, useWish } from "./parts.js";
import { ALL, clean, line } from "./safe.js";
import { choose, use } from "./store.js";
import { clock, t } from "./words.js";

const STUCK = new Set(["failed", "held", "unknown"]); // goes on only if a person says so
const STATES = { staged: "missions.waiting", performing: "missions.running", failed: "missions.failed" };

export default function World() {
  return html`<div class="columns"><div class="scroll column"><${Grants} /><${Flows} /><${Servers} /></div><div class="scroll column"><${Effects} /><${Schedules} /></div></div>`;
}

function Grants() {
  const { tick } = use("tick");
  const told = useAsked(() => verb("grants"), [tick]);
  const [giving, setGiving] = useState(null);
  useWish("grant.give", () => setGiving({}));
  const all = told.value?.grants || [];
  const shown = [...all.filter(isLive), ...all.filter((one) => !isLive(one))];
  const revoke = (one) => act(() => verb("revoke", { target: one.object }), t("grant.revoked", { name: label(one.object) })).then(told.again);
  return html`<section class="block"><h3>${t("grants")}<span class="filters"><button type="button" class="chip" onClick=${() => setGiving({})}><${Icon} name="plus" size=${14} />${t("grant.give")}</button></span></h3>
    <p class="dim small">${t("grants.more")}</p><${Trouble} error=${told.error} again=${told.again} />${told.busy && !told.value && html`<${Waiting} />`}
    ${told.value && !all.length && html`<${Empty} icon="shield" title=${t("grants.empty")}>${t("grants.empty.more")}<//>`}
    <ul class="rows">${shown.slice(0, 60).map((one) => html`<li class=${`item ${isLive(one) ? "" : "over"}`}><${Icon} name=${one.driver === "mcp" ? "bolt" : "file"} size=${16} /><div class="grow"><button type="button" class="link title" onClick=${() => choose(one.object)}>${label(one.object)}</button> <${Badge} status=${isLive(one) ? one.state : "idle"} />
        <p class="small mono">${clean(one.what, 200)}</p><p class="small dim">${(one.operations || []).slice(0, 8).join(", ")} · ${one.used?.count ? t("grant.used", { n: one.used.count, when: clock(one.used.last) }) : t("grant.unused")}${one.until ? ` \u00b7 ${t("grant.until", { when: clock(one.until) })}` : ""}</p></div>
      ${isLive(one) && html`<span class="stack">${one.driver === "files" && html`<button type="button" class="chip" onClick=${() => setGiving(one)}>${t("grant.narrow")}</button>`}<${Sure} label=${t("grant.revoke")} ask=${t("grant.revoke.ask", { name: label(one.object) })} onSure=${() => revoke(one)} /></span>`}</li>`)}</ul>
    ${giving && html`<${Give} from=${giving.object ? giving : null} close=${() => setGiving(null)} done=${told.again} />`}</section>`;
}

const isLive = (one) => one.state === "live";

/** Give a grant, or a part of one: the path is written out once more before it counts. */
function Give({ from, close, done }) {
  const [sure, setSure] = useState(null);
  const ask = (event) => {
    event.preventDefault();
    const { what, name, write, hours } = event.target.elements;
    const body = { what: what.value.trim() };
    if (name.value.trim()) body.name = name.value.trim();
    if (write.checked) body.write = true;
    if (hours.value) body.hours = Number(hours.value);
    setSure(body);
  };
  const give = async () => {
    const fields = from ? { target: from.object, body: sure } : { body: sure };
    const undo = (told) => verb("revoke", { target: told.object }).then(done);
    const told = await act(() => verb(from ? "narrow" : "grant", fields), t("grant.given", { what: sure.what }), undo);
    if (told) {
      done();
      close();
    } else setSure(null);
  };
  return html`<${Dialog} title=${t(from ? "grant.narrow" : "grant.give")} close=${close}>
    <form class="form" onSubmit=${ask} hidden=${Boolean(sure)}><label>${t("grant.what")}<input class="field mono" name="what" required placeholder="~/notes" defaultValue=${from ? `${from.what}/` : ""} data-first /></label>
      <label>${t("grant.name")}<input class="field" name="name" pattern="[A-Za-z_][A-Za-z0-9_]*" /></label>
      <label class="check"><input type="checkbox" name="write" /> <span>${t("grant.write")}</span></label>
      <label>${t("grant.hours")}<input class="field" type="number" name="hours" min="0.1" step="any" /></label>
      <p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button class="chip solid">${t("grant.next")}</button></p></form>
    ${sure && html`<div class="consent"><${Icon} name="shield" size=${26} /><div><h3>${t("grant.sure")}</h3><p class="mono">${clean(sure.what, ALL)}</p><p class="small">${t(sure.write ? "grant.sure.write" : "grant.sure.read")}${sure.hours ? ` ${t("grant.sure.hours", { n: sure.hours })}` : ""}</p>
      <p class="actions"><button type="button" class="chip" onClick=${() => setSure(null)}>${t("grant.back")}</button><button type="button" class="chip solid" onClick=${give}>${t("grant.yes")}</button></p></div></div>`}<//>`;
}

/** What may be sent on of what was read through a grant: nothing, until a flow is given. */
function Flows() {
  const { tick } = use("tick");
  const told = useAsked(() => Promise.all([verb("flows"), verb("grants"), verb("personas")]), [tick]);
  const [giving, setGiving] = useState(false);
  const [flows, grants, personas] = told.value || [];
  const live = (grants?.grants || []).filter(isLive);
  const sinks = [...live.map((one) => one.object), ...(personas?.personas || []).filter((one) => !one.name.includes(":")).map((one) => `${one.name.toLowerCase()}_obj`)];
  const set = (name, one) => verb(name, { body: { source: one.source, sink: one.sink } }).then(told.again);
  const named = (one) => ({ source: label(one.source), sink: label(one.sink) });
  const give = async (one) => {
    const done = await act(() => set("allow", one), t("flow.given", named(one)), () => set("disallow", one));
    if (done !== null) setGiving(false);
  };
  const revoke = (one) => act(() => set("disallow", one), t("flow.revoked", named(one)), () => set("allow", one));
  if (!told.error && !live.length && !flows?.flows.length) return null; // there is nothing yet that could go anywhere
  return html`<section class="block" aria-label=${t("flows")}><h3>${t("flows")}<span class="filters"><button type="button" class="chip" disabled=${!live.length} onClick=${() => setGiving(true)}><${Icon} name="plus" size=${14} />${t("flow.give")}</button></span></h3>
    <p class="dim small">${t("flows.more")}</p><${Trouble} error=${told.error} again=${told.again} />
    ${flows && !flows.flows.length && html`<${Empty} icon="shield" title=${t("flows.empty")} />`}
    <ul class="rows">${(flows?.flows || []).map((one) => html`<li class="item"><div class="grow"><b>${label(one.source)}</b> → <b>${label(one.sink)}</b><p class="small mono dim">${clean(one.read || "", 160)}${one.sent ? ` → ${clean(one.sent, 160)}` : ""}</p><p class="small dim">${one.given ? t("flow.since", { when: clock(one.given) }) : ""}</p></div>
      <button type="button" class="chip bad" onClick=${() => revoke(one)}>${t("grant.revoke")}</button></li>`)}</ul>
    ${giving && html`<${GiveFlow} sources=${live.map((one) => one.object)} sinks=${sinks} give=${give} close=${() => setGiving(false)} />`}</section>`;
}

function GiveFlow({ sources, sinks, give, close }) {
  const [pair, setPair] = useState({ source: sources[0], sink: sinks.find((one) => one !== sources[0]) });
  const choice = (name, all) => html`<label>${t(`flow.${name}`)}<select class="field" onChange=${(e) => setPair({ ...pair, [name]: e.target.value })}>${all.map((one) => html`<option value=${one} selected=${one === pair[name]}>${label(one)}</option>`)}</select></label>`;
  return html`<${Dialog} title=${t("flow.give")} close=${close}><div class="form">${choice("source", sources)}${choice("sink", sinks)}
    <div class="consent"><${Icon} name="shield" size=${26} /><div><p>${t("flow.sure", { source: label(pair.source), sink: label(pair.sink) })}</p></div></div>
    <p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button type="button" class="chip solid" onClick=${() => give(pair)}>${t("grant.yes")}</button></p></div><//>`;
}

function Servers() {
  const { health } = use("health");
  const all = health?.servers || [];
  return html`<section class="block" aria-label=${t("servers")}><h3>${t("servers")}</h3>${!all.length && html`<p class="dim small">${t("servers.empty")}</p><${Command} text="batos grant-mcp NAME -- PROGRAM" />`}<ul class="rows">${all.map((one) => html`<li class="item"><div class="grow"><b>${line(one.name, 60)}</b> <${Badge} status=${one.state === "running" || one.state === "ready" ? "verified" : one.state === "failed" ? "failed" : "idle"}>${line(one.state, 24)}<//>${one.said && html`<p class="small dim">${t("servers.said")}</p><pre class="draft">${clean(one.said, 600)}</pre>`}</div></li>`)}</ul></section>`;
}

function Effects() {
  const { tick } = use("tick");
  const [all, setAll] = useState(false);
  const told = useAsked(() => verb("effects", { body: { all } }), [tick, all]);
  const rows = told.value?.effects || [];
  const does = (one, how) => act(() => verb(`effects.${how}`, { body: { number: one.number } }), t(`effect.${how}.done`)).then(told.again);
  return html`<section class="block"><h3>${t("effects")}<span class="filters"><button type="button" class="tag" aria-pressed=${all} onClick=${() => setAll(!all)}>${t("effects.all")}</button></span></h3><${Trouble} error=${told.error} again=${told.again} />
    ${told.value && !rows.length && html`<${Empty} icon="check" title=${t("effects.empty")} />`}
    <ul class="rows">${rows.map((one) => html`<li class="item"><div class="grow"><p>${clean(one.what, ALL)}</p><p class="small dim">${one.object ? `${label(one.object)} \u00b7 ` : ""}${clock(one.at)}${one.attempts > 1 ? ` \u00b7 ${t("effect.tries", { n: one.attempts })}` : ""}${one.error ? html` · <span class="bad-text">${clean(one.error, 200)}</span>` : ""}</p></div><${Badge} status=${one.state === "done" || one.state === "dropped" ? one.state : "waiting-now"}>${t(STATES[one.state] || `status.${one.state}`)}<//>
      <span class="stack">${STUCK.has(one.state) && html`<button type="button" class="chip" onClick=${() => does(one, "redo")}>${t("effect.redo")}</button>`}${(STUCK.has(one.state) || one.state === "staged") && html`<button type="button" class="chip bad" onClick=${() => does(one, "drop")}>${t("effect.drop")}</button>`}
        ${one.can_undo && html`<button type="button" class="chip" onClick=${() => does(one, "undo")}><${Icon} name="undo" size=${14} />${t("undo")}</button>`}</span></li>`)}</ul></section>`;
}

function Schedules() {
  const { tick } = use("tick");
  const told = useAsked(() => verb("schedules"), [tick]);
  const [adding, setAdding] = useState(false);
  useWish("schedule.add", () => setAdding(true));
  const rows = told.value?.schedules || [];
  const cancel = (one) => act(() => verb("unschedule", { body: { numbers: [one.number] } }), t("schedule.cancelled"), (told) => verb("undo", { body: { transaction: told.transaction } }).then(again)).then(told.again);
  const again = () => told.again();
  const wake = () => act(() => verb("schedules", { body: { wake: true } }), t("schedule.woken")).then(told.again);
  return html`<section class="block"><h3>${t("schedules")}<span class="filters">${rows.some((one) => /sleep/.test(one.state)) && html`<button type="button" class="chip" onClick=${wake}>${t("schedule.wake")}</button>`}<button type="button" class="chip" onClick=${() => setAdding(true)}><${Icon} name="plus" size=${14} />${t("schedule.add")}</button></span></h3><${Trouble} error=${told.error} again=${told.again} />
    ${told.value && !rows.length && html`<${Empty} icon="clock" title=${t("schedules.empty")}>${t("schedules.more")}<//>`}
    <ul class="rows">${rows.map((one) => html`<li class="item"><${Icon} name="clock" size=${16} /><div class="grow"><p>${clean(one.text, 240)}</p><p class="small dim">${clean(one.when || one.rule, 120)}${one.next ? ` \u00b7 ${t("schedule.next", { when: clock(one.next) })}` : ""}${one.why ? ` \u00b7 ${clean(one.why, 120)}` : ""}</p></div><${Badge} status=${one.state} />
      <button type="button" class="chip bad" onClick=${() => cancel(one)}>${t("schedule.cancel")}</button></li>`)}</ul>
    ${adding && html`<${AddSchedule} close=${() => setAdding(false)} done=${told.again} />`}</section>`;
}

function AddSchedule({ close, done }) {
  const add = async (event) => {
    event.preventDefault();
    const { when, kind, text } = event.target.elements;
    const made = await act(() => verb("schedule", { body: { when: when.value, kind: kind.value, text: text.value } }), t("schedule.added"), (told) => verb("unschedule", { body: { numbers: [told.number] } }).then(done));
    if (!made) return;
    done();
    close();
  };
  return html`<${Dialog} title=${t("schedule.add")} close=${close}><form class="form" onSubmit=${add}><label>${t("schedule.when")}<input class="field" name="when" required placeholder=${t("schedule.when.as")} data-first /></label>
    <label>${t("schedule.kind")}<select class="field" name="kind"><option value="remind">${t("schedule.remind")}</option><option value="say">${t("schedule.say")}</option></select></label>
    <label>${t("schedule.text")}<input class="field" name="text" required maxlength="600" /></label><p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button class="chip solid">${t("schedule.add")}</button></p></form><//>`;
}
