// The graph as a component: it has the objects drawn, and tells the canvas what happens.
import { html, useEffect, useRef } from "./vendor/preact.js";
import { Canvas } from "./graph.js";
import { groupOf } from "./kinds.js";
import { onPulse } from "./live.js";
import { IconButton, Waiting } from "./parts.js";
import { choose, put, use } from "./store.js";
import { t } from "./words.js";

export let folded = new Set(JSON.parse(localStorage.getItem("batos-folded") || '["library","missions"]'));

/** Fold a group, or show what is in it. */
export function fold(group) {
  folded = new Set(folded);
  if (!folded.delete(group)) folded.add(group);
  localStorage.setItem("batos-folded", JSON.stringify([...folded]));
  put({ folded });
}

/** The graph; the list says the same to those who do not see it. */
export function Graph({ small = false }) {
  const { nodes, chosen, theme, running, at } = use("nodes", "chosen", "folded", "theme", "running", "at");
  const canvas = useRef(null);
  const graph = useRef(null);
  useEffect(() => {
    graph.current = new Canvas(canvas.current, (name) => (name.startsWith("group:") ? fold(name.slice(6)) : choose(name)));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const turn = () => graph.current.theme();
    dark.addEventListener("change", turn);
    const stop = onPulse((kind, names, what) => names.forEach((name) => graph.current.pulse(name, what || kind)));
    return () => {
      stop();
      dark.removeEventListener("change", turn);
      graph.current.destroy();
    };
  }, []);
  useEffect(() => graph.current.set(nodes, folded, groupOf), [nodes, folded]);
  useEffect(() => graph.current.choose(chosen), [chosen]);
  useEffect(() => graph.current.busy(new Set([...running.values()].map((one) => one.target))), [running]);
  useEffect(() => graph.current.theme(), [theme]);
  return html`<div class=${`graph ${small ? "small" : ""}`}>
    <canvas ref=${canvas} role="img" aria-label=${t("image.canvas", { n: nodes.length })}></canvas>
    ${!nodes.length && html`<${Waiting} />`}
    ${!small && html`<div class="graph-tools"><${IconButton} name="plus" label=${t("image.closer")} onClick=${() => graph.current.closer(1.4)} />
      <button type="button" class="quiet icon-button" aria-label=${t("image.further")} title=${t("image.further")} onClick=${() => graph.current.closer(0.7)}>−</button>
      <button type="button" class="quiet icon-button" aria-label=${t("image.fit")} title=${t("image.fit")} onClick=${() => graph.current.whole()}>⤢</button></div>`}
    ${!small && !at && html`<ul class="legend" aria-hidden="true">${["verified", "taught", "provisional"].map((s) => html`<li><i class=${s}></i>${t(`status.${s}`)}</li>`)}<li><s></s>${t("image.refers")}</li></ul>`}
  </div>`;
}
