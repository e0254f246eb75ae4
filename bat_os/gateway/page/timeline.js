// Time: a slider over what was committed, for the whole page.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { ask, verb } from "./ask.js";
import { loadImage } from "./live.js";
import { words } from "./kinds.js";
import { Icon, IconButton } from "./parts.js";
import { colours, put, state, toast, use } from "./store.js";
import { clock, moment, t } from "./words.js";
import { clean } from "./safe.js";

const PAGES = 5; // of 200 moments each: what the slider reaches
let moving = 0; // the timer that follows the slider; whoever goes elsewhere meanwhile stops it

/** Look at the image as of a moment, or at now. */
export async function travel(at) {
  clearTimeout(moving);
  put({ at, past: at ? state.past : null });
  try {
    await loadImage(at);
  } catch (error) {
    toast(error.message, null, "bad");
    put({ at: "", past: null });
    await loadImage("").catch(() => {});
  }
}

/** Return the moments, the earliest first; of those that are known only newer ones are asked for. */
async function moments(known) {
  const all = [];
  const last = known.at(-1)?.id;
  let before = "";
  for (let i = 0; i < PAGES; i++) {
    const told = await ask(`/moments?limit=200&before=${before}`);
    all.push(...told.moments);
    before = told.before;
    if (!before || told.moments.some((one) => one.id === last)) break;
  }
  const found = all.filter((one) => one.mission || one.names.some((name) => !name.includes(":"))).reverse();
  const at = found.findIndex((one) => one.id === last);
  return at < 0 ? found : [...known, ...found.slice(at + 1)];
}

/** Says that another time is shown, and leads back. */
export function Banner() {
  const { at, past, moments: all } = use("at", "past", "moments");
  const [Compare, setCompare] = useState(null);
  const [open, setOpen] = useState(false);
  if (!at) return null;
  const compare = async () => {
    const module = await import("./past.js");
    setCompare(() => module.Compare);
    setOpen(true);
  };
  return html`<div class="banner" role="status"><${Icon} name="clock" /><span>${past ? t("time.past", { when: moment(past.time) }) : t("loading")}</span><span class="dim wide-only">${t("time.only")}</span>
    <button type="button" class="chip" onClick=${compare}>${t("past.compare")}</button><button type="button" class="chip solid" onClick=${() => travel("")}>${t("time.back")}</button></div>
    ${open && Compare && html`<${Compare} from=${at} all=${all} close=${() => setOpen(false)} />`}`;
}

/** Reminders that are due; each is shown until it is seen. */
export function Due() {
  const { due } = use("due");
  const seen = (one) => {
    verb("due", { body: { seen: [one.key] } }).catch(() => {});
    put({ due: due.filter((each) => each.key !== one.key) });
  };
  return html`${due.slice(0, 5).map((one) => html`<div class="banner" role="alert" key=${one.key}><${Icon} name="clock" /><span>${clean(one.line || one.text, 300)}</span><button type="button" class="chip solid" onClick=${() => seen(one)}>${t("time.seen")}</button></div>`)}`;
}

export function Timeline() {
  const { at, log, nodes, slider: open } = use("at", "log", "nodes", "slider");
  const [all, setAll] = useState([]);
  const due = useRef(0);
  const marks = useRef(null);
  useEffect(() => {
    if (!nodes.length || due.current) return;
    const look = async () => {
      const heard = state.log;
      const told = await moments(state.moments).catch(() => null);
      if (told) setAll(told);
      if (told) put({ moments: told });
      due.current = state.log === heard ? 0 : setTimeout(look, 1500);
    };
    due.current = setTimeout(look, all.length ? 1500 : 300);
  }, [log, nodes.length > 0]);
  useEffect(() => drawMarks(marks.current, all), [all, open]);
  const last = all.length;
  const value = at ? Math.max(0, all.findIndex((one) => one.id === at)) : last;
  const move = (to) => {
    clearTimeout(moving);
    put({ at: to >= last ? "" : all[to].id });
    moving = setTimeout(() => travel(to >= last ? "" : all[to].id), 160);
  };
  const here = at ? all[value] : null;
  const name = here ? `${moment(here.at)}, ${words(here.note)}` : t("time.now");
  return html`<footer class=${`time ${at ? "past" : ""} ${open ? "open" : ""}`}>
    <${IconButton} name="clock" label=${t("time")} aria-expanded=${open} onClick=${() => put({ slider: !open })} />
    <time class="wide-only">${all.length ? clock(all[0].at) : ""}</time>
    <div class="track"><canvas ref=${marks} height="14" aria-hidden="true"></canvas>
      <input type="range" min="0" max=${last} value=${value} disabled=${!all.length} aria-label=${t("time.slider")} aria-valuetext=${name} onInput=${(e) => move(Number(e.target.value))} /></div>
    <span class="moment">${here ? html`<b>${clock(here.at)}</b> <span class="cut">${words(here.note)}</span>` : html`<b class="now">${t("time.now")}</b>`}</span></footer>`;
}

/** Draw a mark for each moment: a commit of a mission is higher than others. */
function drawMarks(canvas, all) {
  if (!canvas) return;
  const wide = canvas.clientWidth;
  canvas.width = wide * 2;
  canvas.height = 28;
  const pen = canvas.getContext("2d");
  const tones = colours(["verified", "dim"]);
  all.forEach((one, i) => {
    const isMission = Boolean(one.mission);
    pen.fillStyle = isMission ? tones.verified : tones.dim;
    pen.globalAlpha = isMission ? 0.9 : one.names.length ? 0.65 : 0.25;
    const high = isMission ? 24 : one.names.length ? 16 : 8;
    pen.fillRect(((i + 0.5) / (all.length + 1)) * wide * 2, 28 - high, 2, high);
  });
}
