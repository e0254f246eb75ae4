// Settings, and how it goes: models, health with advice, copies of the image, tokens.
import { html, useState } from "./vendor/preact.js";
import { Tokens } from "./access.js";
import { follow, owner, verb } from "./ask.js";
import { Backups, Forks } from "./copies.js";
import { act, Badge, copy, Dialog, Empty, Icon, IconButton, Trouble, useAsked, Waiting, useWish } from "./parts.js";
import { clean, line } from "./safe.js";
import { state, switchTheme, use } from "./store.js";
import { lasting, LANGUAGES, language, loadWords, moreWords, size, t } from "./words.js";

await moreWords("settings");

export default function Settings() {
  return html`<div class="columns"><div class="scroll column"><${Looks} /><${Models} /><${Tokens} /></div><div class="scroll column"><${Health} /><${Backups} /><${Forks} /><${Space} /></div></div>`;
}

function Looks() {
  const { theme } = use("theme");
  const speak = (code) => loadWords(code).then(() => location.reload());
  return html`<section class="block"><h3>${t("looks")}</h3><div class="inline looks"><label>${t("language")}<select class="field" onChange=${(e) => speak(e.target.value)}>${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} selected=${code === language}>${name}</option>`)}</select></label>
    <button type="button" class="chip" data-theme-now=${theme || ""} onClick=${switchTheme}><${Icon} name="sun" size=${15} />${t("theme")}</button></div></section>`;
}

function Models() {
  const [round, setRound] = useState(0);
  const [choosing, setChoosing] = useState(false);
  useWish("models.choose", () => setChoosing(true));
  const told = useAsked(() => verb("models"), [round]);
  const one = told.value;
  const change = (name, model, done, back) => act(() => verb(name, { body: { name: model.name } }), done, back && (() => verb(back, { body: { name: model.name } }).then(() => setRound((n) => n + 1)))).then(() => setRound((n) => n + 1));
  return html`<section class="block"><h3>${t("models")} ${one && html`<span class="dim">${t("models.profile", { name: one.profile })}</span><span class="filters"><button type="button" class="chip" onClick=${() => setChoosing(true)}>${t("models.choose")}</button></span>`}</h3><${Trouble} error=${told.error} again=${told.again} />${!one && told.busy && html`<${Waiting} />`}
    ${one && html`<p class="small meter"><span>${t("models.memory", { used: size(one.used), budget: size(one.budget) })}</span><progress max=${one.budget || 1} value=${one.used} aria-label=${t("models")}></progress></p>
    <ul class="rows">${one.models.map((each) => html`<li class="item"><div class="grow"><b>${line(each.name, 80)}</b> ${each.state && html`<${Badge} status=${each.state === "resident" ? "resident" : "idle"}>${t(each.state === "resident" ? "models.loaded" : "models.stored")}<//>`}
      <p class="small dim">${t(`models.kind.${each.kind === "adapter" || each.kind === "embedder" ? each.kind : "model"}`)} · ${size(each.size)}${each.engine ? ` \u00b7 ${each.engine}, ${each.device}` : ""}${each.licence ? ` \u00b7 ${line(each.licence, 40)}` : ""}${each.bytes && each.state ? ` \u00b7 ${t("models.takes", { size: size(each.bytes) })}` : ""}${each.load_seconds ? ` \u00b7 ${t("models.load", { time: lasting(each.load_seconds) })}` : ""}</p>
      ${each.personas?.length > 0 && html`<p class="small">${t("models.thinks", { names: each.personas.map((name) => name[0] + name.slice(1).toLowerCase()).join(", ") })}</p>`}
      ${each.abilities?.map((skill) => html`<dl class="abilities">${["writes", "plans", "tests", "judges", "form", "tools"].filter((key) => typeof skill[key] === "number").map((key) => html`<div><dt>${t(`ability.${key}`)}</dt><dd><progress class="mark" max="1" value=${skill[key]} aria-label=${t(`ability.${key}`)}></progress> ${Math.round(skill[key] * 100)} %</dd></div>`)}</dl>`)}</div>
      ${each.state && html`<span class="stack"><button type="button" class="chip" onClick=${() => change(each.pinned ? "models.unpin" : "models.pin", each, t(each.pinned ? "models.unpinned" : "models.pinned"), each.pinned ? "models.pin" : "models.unpin")}>${t(each.pinned ? "models.unpin" : "models.pin")}</button><button type="button" class="chip" onClick=${() => change("models.exam", each, t("models.examined"))}>${t("models.exam")}</button></span>`}</li>`)}</ul>
    ${one.unused?.length > 0 && html`<p class="notice">${t("models.unused")} ${one.unused.map((each) => html`<code>${clean(typeof each === "string" ? each : each.advice || each.name, 200)}</code> `)}</p>`}`}
    ${choosing && html`<${Choose} now=${one?.profile} close=${() => setChoosing(false)} done=${() => setRound((n) => n + 1)} />`}</section>`;
}

/** What else the personas may think with; the choice is fetched, written down, and counts. */
function Choose({ now, close, done }) {
  const told = useAsked(() => owner("models.offers"));
  const [work, setWork] = useState(null);
  const all = told.value?.offers || [];
  const choose = async (one) => {
    setWork({ name: one.name, text: t("models.choosing") });
    const hear = (body) => setWork({ name: one.name, text: clean(body.text, 200) });
    const chosen = await act(() => follow("models.choose", { name: one.key }, hear, { path: "/owner/" }), t("models.chosen", { name: one.name }));
    setWork(null);
    if (!chosen) return;
    done();
    close();
  };
  const facts = (one) => [line(one.where, 60), one.download ? t("models.fetch", { size: size(one.download) }) : "", one.memory ? t("models.takes", { size: size(one.memory) }) : "", one.speed ? t("models.speed", { n: Math.round(one.speed) }) : "", line(one.licence, 40)].filter(Boolean).join(" \u00b7 ");
  return html`<${Dialog} wide title=${t("models.choose")} close=${close}><p class="small dim">${t("models.choose.more")}</p><${Trouble} error=${told.error} again=${told.again} />
    ${told.busy && !told.value && html`<${Waiting} label=${t("models.looking")} />`}
    ${work ? html`<div class="item" role="status"><i class="spin" aria-hidden="true"></i><div class="grow"><b>${line(work.name, 80)}</b><p class="small">${work.text}</p></div><button type="button" class="chip bad" onClick=${() => owner("stop")}>${t("talk.stop")}</button></div>` : html`<ul class="rows">${all.map((one) => html`<li class="item" key=${one.key}><div class="grow"><b>${line(one.name, 80)}</b> ${one.profile === now && html`<${Badge} status="now">${t("version.current")}<//>`}<p class="small dim">${facts(one)}</p></div>
      <button type="button" class="chip solid" disabled=${one.profile === now} onClick=${() => choose(one)}>${t("models.take")}</button></li>`)}</ul>
    ${all.length === 1 && html`<${Empty} icon="check" title=${t("models.only")}>${t("models.only.more")}<//>`}`}<//>`;
}

/** What the daemon says of itself; each trouble with what helps. */
function findings(health) {
  const all = [];
  const add = (ok, key, values, advice) => all.push({ ok, text: t(`doctor.${key}${ok ? "" : ".bad"}`, values), advice: ok ? "" : advice });
  add(health.ready, "ready", { why: line(health.awakening || health.problem, 200) }, "batos doctor");
  const { held = [], through = [] } = health.cell?.self_test || {};
  add(!through.length, "cell", { kind: health.cell?.kind || "", n: held.length, names: through.join(", ") }, "batos doctor");
  add(!health.closed_doors?.length, "doors", { names: (health.closed_doors || []).join(", ") }, "batos doctor");
  add(!health.lost?.length, "lost", { names: (health.lost || []).map((one) => line(one, 60)).join(", ") }, "batos verify");
  add(!health.events_lost, "journal", { n: health.events_lost }, "batos doctor");
  return all;
}

function Health() {
  const { health } = use("health");
  const [checked, setChecked] = useState(null);
  const [doctor, setDoctor] = useState(null);
  const examine = async () => {
    setDoctor({ busy: true });
    setDoctor(await act(() => owner("doctor")));
  };
  const check = async () => {
    setChecked({ busy: t("loading") });
    const told = await act(() => follow("verify", {}, (body) => setChecked({ busy: clean(body.text || t("loading"), 160) })));
    setChecked(told ? { told } : null);
  };
  useWish("doctor.ask", examine);
  useWish("doctor.verify", check);
  if (!health) return html`<${Waiting} />`;
  const bad = checked?.told?.damaged || [];
  return html`<section class="block"><h3>${t("doctor")}<span class="filters"><button type="button" class="chip" disabled=${Boolean(doctor?.busy)} onClick=${examine}>${t("doctor.ask")}</button><button type="button" class="chip" disabled=${Boolean(checked?.busy)} onClick=${check}>${t("doctor.verify")}</button></span></h3>
    <ul class="plain findings">${findings(health).map((one) => html`<li><span class=${`verdict ${one.ok ? "good" : "bad"}`}>${one.ok ? "\u2713" : "!"}</span><span>${one.text} ${one.advice && html`<code>${one.advice}</code>`}</span></li>`)}</ul>
    ${doctor?.busy && html`<p class="waiting" role="status"><i class="spin" aria-hidden="true"></i>${t("doctor.asking")}</p>`}${doctor?.checks && html`<${Outcomes} checks=${doctor.checks} />`}
    ${checked?.busy && html`<p class="waiting" role="status"><i class="spin"></i>${checked.busy}</p>`}
    ${checked?.told && html`<p class=${`notice ${bad.length ? "bad" : ""}`} role="status">${bad.length ? t("doctor.damaged", { n: bad.length }) : t("doctor.whole", { n: Object.values(checked.told.checked || {}).reduce((a, b) => a + b, 0) })}</p>${bad.slice(0, 20).map((one) => html`<p class="small">${clean(one.what, 160)}: ${clean(one.why, 200)} <code>${clean(one.advice, 160)}</code></p>`)}`}
    <dl class="facts-list"><dt>BAT OS</dt><dd>${line(health.version, 20)}</dd><dt>${t("doctor.image")}</dt><dd><code>${line(health.image_id, 20)}</code></dd><dt>${t("doctor.uptime")}</dt><dd>${lasting(health.uptime)}</dd></dl></section>`;
}

/** What the doctor found: first what wants a deed, each with its advice; the rest folds. */
function Outcomes({ checks }) {
  const bad = checks.filter((one) => one.state !== "ok");
  const row = (one) => html`<li><span class=${`verdict ${one.state === "ok" ? "good" : one.state === "broken" ? "bad" : "warn"}`}>${one.state === "ok" ? "\u2713" : "!"}</span><span class="grow"><b>${line(one.name, 40)}</b> ${clean(one.found, 600)}
    ${one.advice && html`<span class="inline advice"><code class="command grow">${clean(one.advice, 600)}</code><${IconButton} name="copy" label=${t("copy.command")} onClick=${() => copy(one.advice)} /></span>`}</span></li>`;
  return html`<div class="outcomes" role="status"><p class=${`notice ${bad.length ? "" : "good"}`}>${bad.length ? t("doctor.found", { n: bad.length }) : t("doctor.fine", { n: checks.length })}</p>
    ${bad.length > 0 && html`<ul class="plain findings">${bad.map(row)}</ul>`}
    <details><summary>${t("doctor.rest", { n: checks.length - bad.length })}</summary><ul class="plain findings">${checks.filter((one) => one.state === "ok").map(row)}</ul></details></div>`;
}

function Space() {
  const told = useAsked(() => verb("space"));
  const one = told.value;
  if (!one) return html`<${Trouble} error=${told.error} />`;
  const rows = [["space.file", one.file], ["space.history", one.history], ["space.blobs", one.blobs?.bytes], ["space.free", one.free]].filter(([, n]) => typeof n === "number");
  return html`<section class="block"><h3>${t("space")}</h3><dl class="facts-list">${rows.map(([key, n]) => html`<dt>${t(key)}</dt><dd>${size(n)}</dd>`)}<dt>${t("space.objects")}</dt><dd>${state.nodes.length}</dd></dl></section>`;
}
