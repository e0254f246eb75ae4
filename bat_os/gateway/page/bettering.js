// What the mind does for itself: what it proposes, the day's minutes, the forge, and its own record.
import { html } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { act, Badge, Empty, Icon, Sure, Trouble, useAsked, Waiting } from "./parts.js";
import { clean, line } from "./safe.js";
import { use } from "./store.js";
import { clock, moreWords, number, t } from "./words.js";

await moreWords("bettering");

const CAME = ["kept", "corrected", "asked", "failed"];
const WIDE = 560;
const HIGH = 150;
const LEFT = 34;

export default function Bettering() {
  const { tick } = use("tick");
  const told = useAsked(() => verb("proposals", { body: { weeks: true } }), [tick]);
  const one = told.value;
  return html`<section class="block bettering" aria-label=${t("better")}><h3>${t("better")}</h3><${Trouble} error=${told.error} again=${told.again} />${!one && told.busy && html`<${Waiting} />`}
    ${one && html`<${Budget} one=${one} />${!one.proposals.length && html`<${Empty} icon="check" title=${t("better.empty")}>${t("better.empty.more")}<//>`}
      ${one.proposals.map((each) => html`<${Proposal} key=${each.n} one=${each} again=${told.again} />`)}<${Weeks} rows=${one.weeks || []} />`}
    <${Forge} /></section>`;
}

function Budget({ one }) {
  const text = t("better.worked", { spent: number(Math.round(one.spent / 6) / 10), of: number(one.budget / 60) });
  return html`<p class="small meter"><span>${text}</span><progress max=${one.budget || 1} value=${one.spent} aria-label=${text}></progress></p>
    <p class="small dim">${one.resting ? t("better.rests", { why: clean(one.resting, 120) }) : ""} ${one.dissonance || one.curiosity ? t("better.numbers", { doubt: number(one.dissonance), wishes: number(one.curiosity) }) : ""}</p>`;
}

/** One finding: what it is, why, the sources side by side, and a button for each answer. */
function Proposal({ one, again }) {
  const found = one.evidence || {};
  const sources = (found.sources || [found.source, found.rival || found.new || found.inherited]).filter((each) => typeof each === "string" && each).slice(0, 2);
  const back = (told) => verb(told.undo.verb, { target: told.undo.target, selector: told.undo.selector, body: told.undo.version ? { version: told.undo.version } : {} }).then(again);
  const take = async (choice) => {
    const body = { n: one.n, choice };
    const told = await act(() => verb("accept", { body }));
    if (told) await act(() => told, t("better.taken"), told.undo?.verb ? () => back(told) : null);
    again();
  };
  const drop = () => act(() => verb("dismiss", { body: { n: one.n } }), (told) => t(told.quiet ? "better.quiet" : "better.dropped")).then(again);
  return html`<article class="consent" role="group" aria-label=${clean(one.what, 200)}><div class="grow"><h4>${clean(one.what, 600)}</h4>
    <p class="small dim"><${Badge} status="idle">${t(`better.${one.kind}`)}<//> ${clean(one.why, 300)} · ${clock(one.at)}</p>
    ${sources.length > 0 && html`<details open=${sources.length > 1}><summary>${t("better.sources")}</summary><div class="pair">${sources.map((each, i) => html`<pre class="diff" tabindex="0" role="region" aria-label=${t("better.source", { n: i + 1 })}>${clean(each, 4000)}</pre>`)}</div></details>`}
    <div class="actions">${one.choices.map((shown, i) => html`<button type="button" class=${i ? "chip" : "chip solid"} onClick=${() => take(i + 1)}>${clean(shown, 200)}</button>`)}<button type="button" class="chip quiet" onClick=${drop}>${t("better.dismiss")}</button></div></div></article>`;
}

/** How the missions of each week ended: bars, and the same as a table. */
function Weeks({ rows }) {
  const sums = rows.map((row) => CAME.reduce((sum, one) => sum + row[one], 0));
  const most = Math.max(...sums, 1);
  const step = (WIDE - LEFT) / Math.max(rows.length, 1);
  const high = (value) => ((HIGH - 26) * value) / most;
  const bars = rows.map((row, i) => {
    let top = HIGH - 20;
    return CAME.map((one) => {
      const tall = high(row[one]);
      top -= tall;
      return row[one] > 0 && html`<rect class=${one} x=${LEFT + step * (i + 0.18)} width=${step * 0.64} y=${top} height=${tall} />`;
    });
  });
  if (!sums.some(Boolean)) return null;
  return html`<h4>${t("better.weeks")}</h4><figure class="plot weeks"><svg viewBox=${`0 0 ${WIDE} ${HIGH}`} role="img" aria-label=${t("better.weeks.of", { n: sums.reduce((a, b) => a + b, 0) })}>
      ${[0, most].map((value) => html`<line class="grid" x1=${LEFT} x2=${WIDE} y1=${HIGH - 20 - high(value)} y2=${HIGH - 20 - high(value)} /><text x=${LEFT - 6} y=${HIGH - 16 - high(value)} text-anchor="end">${number(value)}</text>`)}
      ${bars}${rows.map((row, i) => i % 2 === 0 && html`<text x=${LEFT + step * (i + 0.5)} y=${HIGH - 4} text-anchor="middle">${line(row.week.slice(5), 5)}</text>`)}</svg>
    <figcaption class="small"><ul class="keys">${CAME.map((one) => html`<li><i class=${one} aria-hidden="true"></i>${t(`better.${one}`)}</li>`)}</ul></figcaption></figure>
    <p class="dim small">${t("better.counted")}</p>
    <details><summary>${t("better.table")}</summary><div class="table" tabindex="0" role="region" aria-label=${t("better.weeks")}><table><thead><tr>${["week", ...CAME].map((one) => html`<th scope="col">${t(`better.${one}`)}</th>`)}</tr></thead><tbody>${rows.map((row) => html`<tr><th scope="row">${line(row.week, 10)}</th>${CAME.map((one) => html`<td class="number">${number(row[one])}</td>`)}</tr>`)}</tbody></table></div></details>`;
}

/** The run of the forge that goes on, and those before with what each gate found. */
function Forge() {
  const { tick } = use("tick");
  const now = useAsked(() => verb("forge", { body: {} }), [tick]);
  const past = useAsked(() => verb("forge", { body: { do: "runs" } }), [tick]);
  const one = now.value?.forge;
  const runs = past.value?.runs || [];
  const ask = (how, text) => act(() => verb("forge", { body: { do: how } }), text).then(now.again);
  const undo = (run) => act(() => verb("forge", { body: { do: "undo", run } }), t("forge.taken", { n: run })).then(past.again);
  const goes = one && one.state !== "idle" && one.state !== "stopped";
  const done = one?.step ?? one?.tried;
  return html`<h4>${t("forge")}</h4>${one && html`<p class="small">${one.state === "idle" ? t("forge.idle", { records: number(one.new), clusters: number(one.clusters) }) : t(`forge.${one.state}`, { n: one.run })} ${one.missing ? html`<span class="dim">${t("forge.missing", { what: clean(one.missing, 120) })}</span>` : ""}</p>
      ${done !== undefined && html`<progress max=${one.of} value=${done} aria-label=${t(`forge.${one.state}`, { n: one.run })}></progress>`}${one.fault && html`<p class="bad-text small">${clean(one.fault, 300)}</p>`}
      <p class="actions">${goes ? html`<button type="button" class="chip" onClick=${() => ask("stop", t("forge.stops"))}><${Icon} name="stop" size=${14} />${t("talk.stop")}</button>` : html`<button type="button" class="chip" disabled=${Boolean(one.missing)} onClick=${() => ask("start", t("forge.starts"))}>${t("forge.start")}</button>`}</p>`}
    ${runs.slice(0, 5).map((run) => html`<details class="item"><summary>${t("forge.run", { n: run.run })} <span class="dim">${t(`forge.${run.outcome}`)} · ${clock(run.ended)}</span></summary>
      <ul class="plain">${run.gates.map((gate) => html`<li><span class=${`verdict ${gate.passed ? "good" : "bad"}`}>${gate.passed ? "\u2713" : "!"}</span> <b>${clean(gate.gate, 20)}</b> ${clean(gate.why, 300)}</li>`)}</ul>
      ${run.outcome === "promoted" && html`<${Sure} label=${t("undo")} ask=${t("forge.undo", { n: run.run })} onSure=${() => undo(run.run)} tone="" />`}</details>`)}`;
}
