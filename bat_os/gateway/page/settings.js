// Settings, and how it goes: models, health with advice, the image's size, and what is done at the
// command line, because it opens a path or ends the daemon.
import { html, useState } from "./vendor/preact.js";
import { follow, verb } from "./ask.js";
import { act, Badge, copy, Icon, IconButton, Trouble, useAsked, Waiting } from "./parts.js";
import { clean, line } from "./safe.js";
import { state, switchTheme, use } from "./store.js";
import { lasting, LANGUAGES, language, loadWords, moment, size, t } from "./words.js";

const COMMANDS = ["models", "backup", "restore", "fork", "tokens", "doctor"];

export default function Settings() {
  return html`<div class="columns"><div class="scroll column"><${Looks} /><${Models} /></div><div class="scroll column"><${Health} /><${Space} /><${AtTheMachine} /></div></div>`;
}

function Looks() {
  const { theme } = use("theme");
  const speak = (code) => loadWords(code).then(() => location.reload());
  return html`<section class="block"><h3>${t("looks")}</h3><div class="inline"><label class="grow">${t("language")}<select class="field" onChange=${(e) => speak(e.target.value)}>${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} selected=${code === language}>${name}</option>`)}</select></label>
    <button type="button" class="chip" data-theme-now=${theme || ""} onClick=${switchTheme}><${Icon} name="sun" size=${15} />${t("theme")}</button></div></section>`;
}

function Models() {
  const [round, setRound] = useState(0);
  const told = useAsked(() => verb("models"), [round]);
  const one = told.value;
  const change = (name, model, done, back) => act(() => verb(name, { body: { name: model.name } }), done, back && (() => verb(back, { body: { name: model.name } }).then(() => setRound((n) => n + 1)))).then(() => setRound((n) => n + 1));
  return html`<section class="block"><h3>${t("models")} ${one && html`<span class="dim">${t("models.profile", { name: one.profile })}</span>`}</h3><${Trouble} error=${told.error} again=${told.again} />${!one && told.busy && html`<${Waiting} />`}
    ${one && html`<p class="small meter"><span>${t("models.memory", { used: size(one.used), budget: size(one.budget) })}</span><progress max=${one.budget || 1} value=${one.used} aria-label=${t("models")}></progress></p>
    <ul class="rows">${one.models.map((each) => html`<li class="item"><div class="grow"><b>${line(each.name, 80)}</b> ${each.state && html`<${Badge} status=${each.state === "resident" ? "resident" : "idle"}>${t(each.state === "resident" ? "models.loaded" : "models.stored")}<//>`}
      <p class="small dim">${t(`models.kind.${each.kind === "adapter" || each.kind === "embedder" ? each.kind : "model"}`)} · ${size(each.size)}${each.engine ? ` \u00b7 ${each.engine}, ${each.device}` : ""}${each.licence ? ` \u00b7 ${line(each.licence, 40)}` : ""}${each.load_seconds ? ` \u00b7 ${t("models.load", { time: lasting(each.load_seconds) })}` : ""}</p>
      ${each.personas?.length > 0 && html`<p class="small">${t("models.thinks", { names: each.personas.map((name) => name[0] + name.slice(1).toLowerCase()).join(", ") })}</p>`}
      ${each.abilities?.map((skill) => html`<dl class="abilities">${["writes", "plans", "tests", "judges", "form", "tools"].filter((key) => typeof skill[key] === "number").map((key) => html`<div><dt>${t(`ability.${key}`)}</dt><dd><meter min="0" max="1" value=${skill[key]} aria-label=${t(`ability.${key}`)}></meter> ${Math.round(skill[key] * 100)} %</dd></div>`)}</dl>`)}</div>
      ${each.state && html`<span class="stack"><button type="button" class="chip" onClick=${() => change(each.pinned ? "models.unpin" : "models.pin", each, t(each.pinned ? "models.unpinned" : "models.pinned"), each.pinned ? "models.pin" : "models.unpin")}>${t(each.pinned ? "models.unpin" : "models.pin")}</button><button type="button" class="chip" onClick=${() => change("models.exam", each, t("models.examined"))}>${t("models.exam")}</button></span>`}</li>`)}</ul>
    ${one.unused?.length > 0 && html`<p class="notice">${t("models.unused")} ${one.unused.map((each) => html`<code>${clean(typeof each === "string" ? each : each.advice || each.name, 200)}</code> `)}</p>`}`}</section>`;
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
  const check = async () => {
    setChecked({ busy: t("loading") });
    const told = await act(() => follow("verify", {}, (body) => setChecked({ busy: clean(body.text || t("loading"), 160) })));
    setChecked(told ? { told } : null);
  };
  if (!health) return html`<${Waiting} />`;
  const bad = checked?.told?.damaged || [];
  return html`<section class="block"><h3>${t("doctor")}<span class="filters"><button type="button" class="chip" disabled=${Boolean(checked?.busy)} onClick=${check}>${t("doctor.verify")}</button></span></h3>
    <ul class="plain findings">${findings(health).map((one) => html`<li><span class=${`verdict ${one.ok ? "good" : "bad"}`}>${one.ok ? "\u2713" : "!"}</span><span>${one.text} ${one.advice && html`<code>${one.advice}</code>`}</span></li>`)}</ul>
    ${checked?.busy && html`<p class="waiting" role="status"><i class="spin"></i>${checked.busy}</p>`}
    ${checked?.told && html`<p class=${`notice ${bad.length ? "bad" : ""}`} role="status">${bad.length ? t("doctor.damaged", { n: bad.length }) : t("doctor.whole", { n: Object.values(checked.told.checked || {}).reduce((a, b) => a + b, 0) })}</p>${bad.slice(0, 20).map((one) => html`<p class="small">${clean(one.what, 160)}: ${clean(one.why, 200)} <code>${clean(one.advice, 160)}</code></p>`)}`}
    <dl class="facts-list"><dt>BAT OS</dt><dd>${line(health.version, 20)}</dd><dt>${t("doctor.image")}</dt><dd><code>${line(health.image_id, 20)}</code></dd><dt>${t("doctor.uptime")}</dt><dd>${lasting(health.uptime)}</dd></dl></section>`;
}

function Space() {
  const told = useAsked(() => verb("space"));
  const one = told.value;
  if (!one) return html`<${Trouble} error=${told.error} />`;
  const rows = [["space.file", one.file], ["space.history", one.history], ["space.blobs", one.blobs?.bytes], ["space.free", one.free]].filter(([, n]) => typeof n === "number");
  return html`<section class="block"><h3>${t("space")}</h3><dl class="facts-list">${rows.map(([key, n]) => html`<dt>${t(key)}</dt><dd>${size(n)}</dd>`)}<dt>${t("space.objects")}</dt><dd>${state.nodes.length}</dd></dl>
    ${one.forks?.length > 0 && html`<h4>${t("space.forks")}</h4><ul class="plain">${one.forks.map((each) => html`<li>${line(each.name || String(each), 60)} ${each.made && html`<span class="dim">${moment(each.made)}</span>`}</li>`)}</ul>`}</section>`;
}

function AtTheMachine() {
  return html`<section class="block"><h3>${t("machine")}</h3><p class="dim small">${t("machine.more")}</p><ul class="rows">${COMMANDS.map((name) => html`<li class="item"><div class="grow"><b>${t(`machine.${name}`)}</b><p class="small dim">${t(`machine.${name}.more`)}</p><code class="command">${t(`machine.${name}.command`)}</code></div><${IconButton} name="copy" label=${t("copy")} onClick=${() => copy(t(`machine.${name}.command`))} /></li>`)}</ul></section>`;
}
