// The graph as a component: it has the objects drawn, and tells the canvas what happens.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { Canvas } from "./graph.js";
import { groupOf } from "./kinds.js";
import { onPulse } from "./live.js";
import { IconButton, Waiting } from "./parts.js";
import { choose, put as tell, state, toast, use } from "./store.js";
import { t } from "./words.js";

export let folded = new Set(JSON.parse(localStorage.getItem("batos-folded") || '["library","missions"]'));

/** Fold a group, or show what is in it. */
export function fold(group) {
  folded = new Set(folded);
  if (!folded.delete(group)) folded.add(group);
  localStorage.setItem("batos-folded", JSON.stringify([...folded]));
  tell({ folded });
}

const MOST_PLACES = 2000;
const placesOf = (image) => `batos-places-${image}`;

/** Where a person has put objects of an image, in this browser. */
function readPlaces(image) {
  try {
    return JSON.parse(localStorage.getItem(placesOf(image)) || "{}");
  } catch {
    return {};
  }
}

function keepPlaces(image, places) {
  const all = Object.entries(places).slice(-MOST_PLACES);
  if (all.length) localStorage.setItem(placesOf(image), JSON.stringify(Object.fromEntries(all)));
  else localStorage.removeItem(placesOf(image));
}

/** The graph; the list says the same to those who do not see it. */
export function Graph({ small = false }) {
  const { nodes, chosen, theme, running, at, image } = use("nodes", "chosen", "folded", "theme", "running", "at", "image");
  const canvas = useRef(null);
  const graph = useRef(null);
  const [put, setPut] = useState(0);
  useEffect(() => {
    graph.current = new Canvas(canvas.current, (name) => (name.startsWith("group:") ? fold(name.slice(6)) : choose(name)), (places) => {
      keepPlaces(state.image, places);
      setPut(Object.keys(places).length);
    });
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
  const arrange = (places) => {
    Object.assign(graph.current, { places, bodies: [], by: new Map() });
    setPut(Object.keys(places).length);
    if (nodes.length) graph.current.set(nodes, folded, groupOf);
  };
  useEffect(() => {
    if (image) graph.current.places = readPlaces(image);
    setPut(Object.keys(graph.current.places).length);
  }, [image]);
  const anew = () => {
    const before = graph.current.places;
    const change = (places) => {
      keepPlaces(image, places);
      arrange(places);
    };
    change({});
    toast(t("image.arranged"), () => change(before));
  };
  useEffect(() => graph.current.set(nodes, folded, groupOf), [nodes, folded, image]);
  useEffect(() => graph.current.choose(chosen), [chosen]);
  useEffect(() => graph.current.busy(new Set([...running.values()].map((one) => one.target))), [running]);
  useEffect(() => graph.current.theme(), [theme]);
  return html`<div class=${`graph ${small ? "small" : ""}`}>
    <canvas ref=${canvas} role="img" aria-label=${t("image.canvas", { n: nodes.length })}></canvas>
    ${!nodes.length && html`<${Waiting} />`}
    ${!small && html`<div class="graph-tools"><${IconButton} name="plus" label=${t("image.closer")} onClick=${() => graph.current.closer(1.4)} />
      <button type="button" class="quiet icon-button" aria-label=${t("image.further")} title=${t("image.further")} onClick=${() => graph.current.closer(0.7)}>−</button>
      <button type="button" class="quiet icon-button" aria-label=${t("image.fit")} title=${t("image.fit")} onClick=${() => graph.current.whole()}>⤢</button>
      ${put > 0 && html`<${IconButton} name="undo" label=${t("image.arrange")} onClick=${anew} />`}</div>`}
    ${!small && !at && html`<ul class="legend" aria-hidden="true">${["verified", "taught", "provisional"].map((s) => html`<li><i class=${s}></i>${t(`status.${s}`)}</li>`)}<li><s></s>${t("image.refers")}</li></ul>`}
  </div>`;
}
