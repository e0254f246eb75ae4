// Where the bodies of the graph stand: forces for some hundreds, a sunflower for thousands.
import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "./vendor/force.js";

import { t } from "./words.js";

const MANY = 800;
const ROOTS = new Set(["traits_obj", "pLLM_obj"]);
const GOLDEN = 2.39996;
// Where a group gathers, as parts of the width and the height.
const HOME = { own: [0, 0], personas: [0.8, -0.1], world: [0.45, 0.75], library: [-0.8, 0.35], missions: [-0.75, -0.55], kernel: [0.1, -0.8] };
const FAR = 260;

/** Return bodies and threads for objects; `old` keeps where they stood, `places` where they were put. */
export function arrange(nodes, folded, groupOf, old, ratio, places = {}) {
  const groups = new Map(nodes.map((one) => [one.name, groupOf(one)]));
  const bodies = [];
  const by = new Map();
  const counts = new Map();
  for (const node of nodes) {
    const group = groups.get(node.name);
    if (folded.has(group)) counts.set(group, (counts.get(group) || 0) + 1);
    else bodies.push({ ...node, group, r: radius(node) });
  }
  for (const [group, count] of counts) bodies.push({ name: `group:${group}`, label: t(`group.${group}`), group, count, methods: [], parents: [], refers: [], r: 15 + Math.min(14, Math.sqrt(count) * 2) });
  const wide = Math.max(0.5, Math.min(1.8, Math.sqrt(ratio || 1)));
  bodies.forEach((body, i) => {
    const was = old.get(body.name);
    const [x, y] = HOME[body.group];
    const r = 26 * Math.sqrt(i % 97);
    body.x = was?.x ?? x * FAR * wide + Math.cos(i * GOLDEN) * r;
    body.y = was?.y ?? (y * FAR) / wide + Math.sin(i * GOLDEN) * r;
    const put = places[body.name];
    if (put) [body.x, body.y] = [body.fx, body.fy] = put;
    by.set(body.name, body);
  });
  const find = (name) => by.get(name) || by.get(`group:${groups.get(name)}`);
  const threads = [];
  const known = new Set();
  const add = (source, name, kind) => {
    const target = find(name);
    const key = target && `${source.name}>${target.name}>${kind}`;
    if (!target || target === source || known.has(key)) return;
    known.add(key);
    threads.push({ source, target, kind });
  };
  for (const body of bodies) {
    for (const name of body.parents) add(body, name, ROOTS.has(name) ? "root" : "parent");
    for (const name of body.refers) add(body, name, "refers");
  }
  return { bodies, threads, by, groupOf: groups, wideness: wide };
}

function radius(node) {
  if (ROOTS.has(node.name)) return 8;
  if (node.name.startsWith("state_")) return 7;
  return 10 + Math.min(14, 1.9 * Math.sqrt((node.slots || 0) + node.methods.length * 2));
}

/** Start the forces; return them, or null where there are too many bodies for any. */
export function settle(graph, first) {
  const { bodies, threads, wideness } = graph;
  if (bodies.length > MANY) {
    sunflower(bodies);
    return null;
  }
  const home = (axis) => (one) => HOME[one.group][axis] * FAR * (axis ? 1 / wideness : wideness);
  const pull = (one) => (one.group === "own" ? 0.04 : 0.11);
  const forces = forceSimulation(bodies)
    .stop()
    .alphaDecay(0.035)
    .velocityDecay(0.34)
    .force("link", forceLink(threads).distance((one) => 64 + one.source.r + one.target.r).strength((one) => (one.kind === "root" ? 0.01 : 0.22)))
    .force("charge", forceManyBody().strength(-260).distanceMax(460))
    .force("x", forceX(home(0)).strength(pull))
    .force("y", forceY(home(1)).strength(pull))
    .force("collide", forceCollide((one) => Math.max(one.r + 18, (one.label || one.name).length * (one.group === "own" ? 5.6 : 4.2) + 6)));
  if (!first) return forces.alpha(0.3);
  const until = performance.now() + 250;
  while (forces.alpha() > 0.03 && performance.now() < until) forces.tick();
  return forces;
}

function sunflower(bodies) {
  const order = new Map(bodies.map((one) => [one, `${one.parents[0] || ""} ${one.name}`]));
  const sorted = bodies.slice().sort((a, b) => (order.get(a) < order.get(b) ? -1 : 1));
  sorted.forEach((body, i) => {
    const r = 15 * Math.sqrt(i + 1);
    body.x = body.fx ?? r * Math.cos(i * GOLDEN) * 1.25;
    body.y = body.fy ?? r * Math.sin(i * GOLDEN);
  });
}
