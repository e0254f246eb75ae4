// One stream of events: missions and commits as they happen. A hidden window closes it, since a
// browser has few connections to one host; when it shows again, all is asked anew.
import { ask, listen as events, owner, pages, verb } from "./ask.js";
import { markGranted, OVER } from "./kinds.js";
import { drop, secret } from "./proof.js";
import { put, state } from "./store.js";

const TOGETHER = 120; // milliseconds: what comes within them is shown in one go
const ALONE = 20; // milliseconds for what comes after a pause
const KEPT = 400;
const HOUSEKEEPING = /^(note|keep|count|step|accept|open a|prune|mission |look|(begin|store|recover|hold) )/;
const MANY = 800;
const SELDOM = 5000; // milliseconds between two whole readings of a large image
const FLOOD = 3; // events within TOGETHER: what is open then asks once a second, or is refused
const FEW = 10; // names that are asked for one by one in a large image
const heard = new Set();
let source = null;
let lines = [];
let touched = new Set();
let others = false; // a fact, a schedule or a document was written
let planned = 0;
let flushed = 0; // when events were shown last
let stirred = 0; // when what is open was told of a change last
let loading = null;
let loaded = 0; // when the image was read last
let wanted = false;
const waits = {}; // what is done in a second

/** Hear of commits at once, as the graph does. */
export function onPulse(tell) {
  heard.add(tell);
  return () => heard.delete(tell);
}

/** Load the image, now or as of a moment. */
export async function loadImage(at = state.at) {
  if (loading) {
    wanted = true;
    return loading;
  }
  loading = load(at).finally(() => {
    loading = null;
    if (wanted) {
      wanted = false;
      reload();
    }
  });
  return loading;
}

async function load(at) {
  loaded = Date.now();
  if (at) {
    const first = await ask(`/objects?limit=1&at=${encodeURIComponent(at)}`);
    const objects = await pages("/objects", "objects", null, at);
    const nodes = objects.map((one) => ({ ...one, refers: [], methods: [] })); // what their state was is not told
    put({ nodes, past: first.at || null });
    return;
  }
  const library = new Map(state.nodes.map((one) => [one.name, one.library]));
  const shipped = pages("/objects", "objects");
  const show = (nodes) => nodes.map((one) => ({ ...one, library: library.get(one.name) }));
  const seen = (all) => state.nodes.length < all.length && put({ nodes: show(all) });
  const nodes = await pages("/graph", "nodes", seen);
  for (const one of await shipped) library.set(one.name, { library: one.library, selectors: one.selectors, tainted: one.tainted, failing: one.failing });
  const merged = nodes.map((one) => ({ ...one, ...library.get(one.name) }));
  put({ nodes: merged, past: null });
}

/** Ask anew for a few objects; the picture is made anew only if it would be another one. */
async function patch(names) {
  const nodes = state.nodes.slice();
  let isOther = false;
  for (const name of names) {
    const i = nodes.findIndex((one) => one.name === name);
    const before = i > 0 ? nodes[i - 1].name : "";
    const [told] = (await ask(`/graph?limit=1&after=${encodeURIComponent(before)}`)).nodes;
    if (told?.name !== name) continue;
    isOther ||= shown(told) !== shown(nodes[i]);
    nodes[i] = { ...nodes[i], ...told };
  }
  if (isOther) put({ nodes });
}

const shown = (one) => JSON.stringify([one?.parents, one?.slots, one?.methods, one?.refers]);

/** Ask for health. */
export async function look() {
  const used = secret();
  try {
    const health = await ask("/health");
    put({ health, image: health.image_id, online: true });
    if (!health.ready) soon("look", look);
  } catch (error) {
    if (error.status !== 401) return put({ online: false });
    drop(used);
    put({ closed: true });
  }
}

/** Load the image; if it cannot be had now, try again, since no event may follow that asks for it. */
function reload() {
  loadImage().catch(() => state.closed || state.at || soon("image", reload));
}

/** Do something in a second, once. */
function soon(name, work) {
  clearTimeout(waits[name]);
  waits[name] = setTimeout(() => document.hidden || work(), 1000);
}

/** Ask what is granted, what runs, what waits for a yes, and what is due. */
export async function lookAround() {
  const asked = [verb("grants"), ask("/missions?state=running&limit=50"), verb("due", { body: {} }), ask("/missions?state=waiting&limit=20")];
  const [grants, missions, due, asking] = await Promise.allSettled(asked);
  if (asking.value) put({ asking: asking.value.missions });
  if (grants.value) markGranted(grants.value.grants.map((one) => one.object));
  if (missions.value) {
    put({ running: new Map(missions.value.missions.map((one) => [one.brief_id, one])) });
  }
  if (due.value) put({ due: due.value.due });
}

/** Ask which mind this is: several may be open in one browser. */
async function lookWhere() {
  const told = await owner("home").catch(() => ({ fork: "" }));
  if (told.fork) document.title = `${told.fork} \u00b7 BAT OS`;
  put({ fork: told.fork });
}

/** Begin the log with what was committed before the page was opened. */
async function lookBack() {
  const told = await ask("/moments?limit=100").catch(() => ({ moments: [] }));
  const before = told.moments.filter((one) => one.names.length && !HOUSEKEEPING.test(one.note));
  put({ log: [...before.slice(0, 40).reverse().map((one) => ({ ...one, n: one.id, kind: "change" })), ...state.log] });
}

/** Load everything, and listen from now on. */
export async function begin() {
  await Promise.all([look(), lookAround(), lookBack(), lookWhere()]);
  listen();
  setInterval(() => document.hidden || look(), 10000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hush();
    else listen();
  });
}

function hush() {
  source?.abort();
  source = null;
}

/** Listen until it is hushed; a stream that breaks is opened again where it was. */
async function listen() {
  if (source) return;
  const own = (source = new AbortController());
  for (let mark = ""; source === own; await new Promise((done) => setTimeout(done, 1000))) {
    try {
      for await (const [kind, told, at] of events("/events", mark, own.signal)) {
        mark = at || mark;
        if (kind === "open") put({ online: true });
        if (kind === "open" || kind === "gap") anew();
        else if (kind === "mission" || kind === "change") hear(kind, told);
      }
    } catch {
      // the gateway is away, or this page has ended
    }
    if (source === own) put({ online: false });
  }
}

function anew() {
  put({ tick: state.tick + 1 });
  look();
  lookAround();
  if (!state.at) reload();
}

/** Take in one event. */
export function hear(kind, told) {
  if (kind === "mission") hearMission(told);
  else hearChange(told);
}

function hearMission(told) {
  const over = OVER.has(told.state);
  if (told.detail?.due || told.state === "failed" || state.asking.some((one) => one.brief_id === told.brief_id)) lookAround();
  const running = new Map(state.running);
  if (over) running.delete(told.brief_id);
  else running.set(told.brief_id, { ...running.get(told.brief_id), ...told });
  for (const tell of heard) tell("mission", [told.target], over ? told.state : "thinking");
  put({ running });
  lines.push({ ...told, kind: "mission" });
  later();
}

function hearChange(told) {
  for (const tell of heard) tell("change", told.names);
  for (const name of told.names) if (touched.size < 500) touched.add(name);
  if (!told.names.length) others = true;
  if (!HOUSEKEEPING.test(told.note)) lines.push({ ...told, kind: "change" });
  later();
}

function later() {
  planned ||= setTimeout(flush, Date.now() - flushed > TOGETHER ? ALONE : TOGETHER);
}

/** Tell what is open that something has changed. */
function stir(isFlood) {
  if (isFlood && Date.now() - stirred < 1000) return soon("stir", stir);
  stirred = Date.now();
  put({ tick: state.tick + 1 });
}

function flush() {
  planned = 0;
  flushed = Date.now();
  const isFlood = lines.length > FLOOD;
  if (lines.length) put({ log: [...state.log, ...lines.splice(0)].slice(-KEPT) });
  const names = [...touched].filter((name) => !name.includes(":"));
  const unnamed = others;
  touched = new Set();
  others = false;
  if (state.at) return;
  if (unnamed || names.length) stir(isFlood); // what is open asks at once; the list may come later
  if (!names.length) return;
  const known = new Set(state.nodes.map((one) => one.name));
  const isSmall = state.nodes.length <= MANY;
  const isDue = Date.now() - loaded > (isSmall ? 0 : SELDOM);
  if (isDue && (isSmall || names.some((name) => !known.has(name)))) reload();
  else if (names.length <= FEW) patch(names).catch(() => {});
}
