// The live log of thoughts: what missions do, and what is committed.
import { html, useState } from "./vendor/preact.js";
import { label, words } from "./kinds.js";
import { Empty } from "./parts.js";
import { clean, line } from "./safe.js";
import { choose, use } from "./store.js";
import { clock, t } from "./words.js";

const FILTERS = ["all", "mission", "change"];

function Line({ one }) {
  const name = one.kind === "mission" ? one.target : one.names?.[0];
  const what = one.kind === "mission" ? clean(one.detail?.reason || one.does || one.state, 240) : words(name ? one.note.replace(name, "") : one.note);
  const more = one.kind === "change" ? one.names.length - 1 : 0;
  return html`<li class=${`thought ${one.kind} ${one.state || ""}`}><time>${clock(one.at, { seconds: true })}</time>
    <b class="who">${one.kind === "mission" ? line(one.persona || "", 14).toLowerCase() : t("log.commit")}</b>
    <span>${what} ${name && !name.includes(":") && html`<button type="button" class="link" onClick=${() => choose(name)}>${label(name)}</button>`}${more > 0 && html` <span class="dim">${t("log.more", { n: more })}</span>`}</span></li>`;
}

export function Log({ small = false }) {
  const { log } = use("log");
  const [kind, setKind] = useState("all");
  const [text, setText] = useState("");
  const fits = (one) => (kind === "all" || one.kind === kind) && (!text || JSON.stringify(one).toLowerCase().includes(text.toLowerCase()));
  const shown = log.filter(fits).slice(small ? -40 : -300).reverse();
  return html`<section class=${`log ${small ? "small" : ""}`} aria-label=${t("log")}>
    <h3>${t("log")}${!small && html`<span class="filters" role="group" aria-label=${t("log.filter")}>${FILTERS.map((name) => html`<button type="button" class="tag" aria-pressed=${kind === name} onClick=${() => setKind(name)}>${t(`log.${name}`)}</button>`)}
      <input type="search" class="field tiny" placeholder=${t("log.search")} aria-label=${t("log.search")} value=${text} onInput=${(e) => setText(e.target.value)} /></span>`}</h3>
    ${shown.length ? html`<ol tabindex="0" aria-label=${t("log")}>${shown.map((one) => html`<${Line} key=${`${one.kind}${one.n}${one.at}`} one=${one} />`)}</ol>` : html`<${Empty} icon="thoughts" title=${t("log.empty")}>${t("log.empty.more")}<//>`}</section>`;
}
