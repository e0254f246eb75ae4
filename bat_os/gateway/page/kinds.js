// What an object is for: its group in the list and in the graph, and its name for people.
import { line } from "./safe.js";

export const GROUPS = ["own", "personas", "world", "library", "missions", "kernel"];
const KERNEL = new Set(["traits_obj", "pLLM_obj", "knowledge_catalog_obj", "orchestrator_obj"]);
const WORLD = new Set(["files_obj", "web_obj", "shell_obj", "clock_obj", "models_obj"]);
const PERSONA = /^(alfred|brick|robin|babs)_obj$/;
const granted = new Set();

/** Remember which objects reach into the world. */
export function markGranted(names) {
  granted.clear();
  for (const name of names) granted.add(name);
}

/** Return the group of an object. */
export function groupOf(node) {
  const name = node.name;
  if (KERNEL.has(name)) return "kernel";
  if (name.startsWith("state_")) return "missions";
  if (PERSONA.test(name)) return "personas";
  if (WORLD.has(name) || granted.has(name)) return "world";
  return node.library ? "library" : "own";
}

const labels = new Map(); // a search asks for all of them with each letter

/** Return the name of an object for people. */
export function label(name) {
  let known = labels.get(name);
  if (known === undefined) {
    if (labels.size > 50000) labels.clear();
    known = line(name, 60).replace(/_obj$/, "").replace(/^state_/, "").replaceAll("_", " ");
    labels.set(name, known);
  }
  return known;
}

/** Return a selector, or a note, in words. */
export const words = (text) => line(text, 120).replace(/_obj\b/g, "").replaceAll("_", " ").replace(/([a-z])([A-Z])(?=[a-z])/g, (all, a, b) => `${a} ${b.toLowerCase()}`).trim();

const ORDER = ["verified", "taught", "provisional", "unlearned"];

/** Return the statuses of an object's methods, how many of each. */
export function tally(methods) {
  const counts = {};
  for (const [, status] of methods) counts[status] = (counts[status] || 0) + 1;
  return Object.entries(counts).sort((a, b) => ORDER.indexOf(a[0]) - ORDER.indexOf(b[0]));
}

export const OVER = new Set(["complete", "failed"]);
