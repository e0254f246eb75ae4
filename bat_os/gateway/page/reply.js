// One answer: its kind, value, reading and sources; a question with its choices; what failed.
import { html, useEffect, useState } from "./vendor/preact.js";
import { label, words } from "./kinds.js";
import { Approval, Badge, copy, Icon, IconButton } from "./parts.js";
import { ALL, clean, line } from "./safe.js";
import { choose, state, use } from "./store.js";
import { clock, knows, lasting, t } from "./words.js";

/** The object and selector that answered, as far as the reading names one that is known. */
function skillOf(reading) {
  const selector = /^([A-Za-z_]\w*)\(/.exec(reading)?.[1];
  if (!selector) return null;
  const has = (one) => one.selectors?.includes(selector) || one.methods.some(([name]) => name === selector);
  const holder = state.nodes.find(has);
  return holder ? { holder: holder.name, selector } : null;
}

function Steps({ turn }) {
  const last = turn.steps.at(-1);
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    if (!turn.open) return;
    const timer = setInterval(() => setSeconds(Math.floor(Date.now() / 1000 - turn.at)), 500);
    return () => clearInterval(timer);
  }, [turn.open]);
  if (turn.open && !last && !turn.draft) {
    return html`<p class="thinking"><i class="dots" aria-hidden="true"><b></b><b></b><b></b></i>${seconds > 2 ? t("talk.thinking", { n: seconds }) : t("talk.reading")}</p>`;
  }
  if (!last && !turn.draft) return null;
  const title = turn.open ? t("talk.learning") : t("talk.how");
  return html`<details class="steps" open=${turn.open}><summary>${turn.open && html`<i class="dots" aria-hidden="true"><b></b><b></b><b></b></i>`}${title}
      ${turn.open && last && html`<span class="dim">${last.pct ? `${last.pct} % \u00b7 ` : ""}${seconds} s</span>`}</summary>
    <ol>${turn.steps.map((one) => html`<li><b class="who">${line(one.persona || "", 20).toLowerCase()}</b><span>${clean(one.does || one.state, 300)}</span></li>`)}</ol>
    ${turn.draft && html`<pre class="draft">${clean(turn.draft, 4000)}</pre>`}</details>`;
}

/** A table or a plot of a value that has one; both are loaded with the first such value. */
function Rich({ value }) {
  const [part, setPart] = useState(null);
  useEffect(() => {
    if (value !== null && typeof value === "object") import("./values.js").then(setPart, () => {});
  }, [value]);
  return part?.isRich(value) ? html`<${part.Value} value=${value} />` : null;
}

function Sources({ sources }) {
  if (!sources?.length) return null;
  return html`<ul class="sources" aria-label=${t("talk.sources")}>${sources.slice(0, 8).map((one) => html`<li>
    <${Icon} name=${one.kind === "document" ? "file" : one.kind === "method" ? "bolt" : "clock"} size=${14} />
    <span><b>${line(one.title || "", 120)}</b> ${one.text && html`<span class="dim">${line(one.text, 240)}</span>`} ${one.at && html`<time class="dim">${clock(one.at)}</time>`}</span></li>`)}</ul>`;
}

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

/** A question: each choice is a button. A consent stands out, and never has a key of its own. */
function Question({ turn, isLast, say }) {
  const { answer } = turn;
  const isConsent = answer.needs === "grant";
  const pick = (text, i) => say(isConsent ? text : String(i + 1), { shown: text });
  const kindOf = (i) => (isConsent ? i === 0 ? "solid" : i === answer.choices.length - 1 ? "quiet" : "" : "");
  const choices = answer.choices.length > 0 && html`<div class=${isConsent ? "actions" : "choices"} role="group" aria-label=${t("talk.choices")}>
    ${answer.choices.slice(0, 12).map((text, i) => html`<button type="button" class=${`chip ${kindOf(i)}`} disabled=${!isLast} onClick=${() => pick(text, i)}>
      ${isConsent ? capital(clean(text, ALL)) : html`<kbd>${i + 1}</kbd>${clean(text, 300)}`}</button>`)}</div>`;
  if (!isConsent) return html`<p class="text">${clean(answer.text)}</p>${choices}`;
  return html`<div class="consent" role="group" aria-label=${t("talk.consent")}><${Icon} name="shield" size=${26} />
    <div><h3>${t("talk.consent")}</h3><p class="text">${clean(answer.text, ALL)}</p>${choices}<p class="dim small">${t("talk.consent.more")}</p></div></div>`;
}

function Confirm({ turn, confirm }) {
  return html`<div class="actions confirm"><button type="button" class="chip solid good" onClick=${() => confirm(turn, true)}><${Icon} name="check" size=${15} />${t("talk.yes")} <kbd>Enter</kbd></button>
    <button type="button" class="chip" onClick=${() => confirm(turn, false)}>${t("talk.no")} <kbd>Esc</kbd></button>
    <span class="dim small">${t("talk.correct")}</span></div>`;
}

function Facts({ turn, isLast, say }) {
  const { answer } = turn;
  use("nodes"); // an answer may come before the objects are there
  const skill = skillOf(answer.reading);
  return html`<footer class="facts">
    <${Badge} status=${answer.kind}>${t(`kind.${answer.kind}`)}<//>
    ${answer.learned && html`<${Badge} status="verified">${t("talk.learned")}<//>`}
    ${answer.reading && (skill ? html`<button type="button" class="reading" title=${t("talk.open", { name: label(skill.holder) })} onClick=${() => choose(skill.holder, skill.selector)}>${line(answer.reading, 200)}</button>` : html`<code class="reading">${line(answer.reading, 200)}</code>`)}
    <span class="dim">${lasting(answer.seconds || 0)}${answer.model_calls ? ` \u00b7 ${t("talk.calls", { n: answer.model_calls })}` : ""}</span>
    <span class="tools">${answer.undo && isLast && html`<button type="button" class="chip" onClick=${() => say(answer.undo, { shown: answer.undo })}><${Icon} name="undo" size=${14} />${t("undo")}</button>`}
      ${isLast && answer.kind !== "said" && answer.kind !== "asked" && html`<button type="button" class="chip" onClick=${() => say("why?")}>${t("talk.why")}</button>`}
      <${IconButton} name="copy" label=${t("copy")} onClick=${() => copy(answer.text)} /></span>
  </footer>`;
}

export function Reply({ turn, isLast, say, confirm, stop }) {
  const { answer, failed } = turn;
  if (failed) {
    const again = () => say(turn.sent, { shown: turn.text, before: failed.retryable ? turn : null });
    const text = failed.code === "UNREACHABLE" ? t("error.unreachable") : clean(failed.message, 1200);
    return html`<div class="reply"><${Steps} turn=${turn} /><div class="trouble" role="alert"><p>${text}</p><code class="dim">${failed.code}</code><${Approval} error=${failed} done=${isLast ? again : null} />
      ${isLast && html`<button type="button" class="chip" onClick=${again}>${t("again")}</button>`}</div></div>`;
  }
  if (!answer) {
    return html`<div class="reply"><${Steps} turn=${turn} /><button type="button" class="chip stop" onClick=${() => stop(turn)}><${Icon} name="stop" size=${14} />${t("talk.stop")}</button></div>`;
  }
  const isQuestion = answer.kind === "asked";
  const isGuess = answer.kind === "guess" || answer.needs === "confirmation";
  const short = answer.text.length < 24 && !answer.text.includes("\n");
  const similar = answer.kind === "unable" && answer.choices.length > 0;
  return html`<div class=${`reply ${answer.kind}`}><${Steps} turn=${turn} />
    ${isQuestion && !isGuess ? html`<${Question} turn=${turn} isLast=${isLast} say=${say} />` : html`<p class=${`text ${short ? "big" : ""}`}>${clean(answer.text)}</p>`}
    <${Rich} value=${answer.value} />
    ${similar && html`<p class="dim small">${t("talk.similar")}</p><div class="choices">${answer.choices.slice(0, 8).map((text) => html`<button type="button" class="chip" onClick=${() => say(text)}>${words(text)}</button>`)}</div>`}
    ${isGuess && isLast && html`<${Confirm} turn=${turn} confirm=${confirm} />`}
    ${answer.needs === "example" && isLast && html`<p class="hint dim">${t("talk.example")}</p>`}
    ${answer.needs === "model" && knows("talk.model") && html`<p class="hint dim">${t("talk.model")}</p>`}
    <${Sources} sources=${answer.sources} />
    <${Facts} turn=${turn} isLast=${isLast} say=${say} /></div>`;
}
