// What the page knows for now: one plain object, and who wants to hear of changes to it.
import { useEffect, useReducer, useRef } from "./vendor/preact.js";

export const VIEWS = ["talk", "image", "thoughts", "knowledge", "world", "settings"];
export const state = {
  view: "talk", // which view is shown
  chosen: "", // the object in the inspector
  selector: "", // its method that is open
  nodes: [], // the image: objects with what refers to what
  health: null,
  image: "", // the id of the image
  fork: "", // the name of the fork that this is, if it is one
  online: true,
  log: [], // thoughts: missions and commits, the latest last
  running: new Map(), // missions at work, by id
  at: "", // the moment that is looked at; "" is now
  moments: [], // what was committed, the earliest first, as far as the slider reaches
  slider: false, // whether a phone shows the slider over time
  past: null, // what the image told of that moment
  tick: 0, // counts changes that an open panel may show
  toasts: [],
  uploads: [], // files on their way
  palette: "", // the palette's mode, if it is open
  wish: "", // what a view is to open, by the key of its button's text
  early: "", // what was typed for it while it was on its way
  asking: [], // missions that wait for a yes
  due: [], // reminders that are due
};
const listeners = new Set();
let queued = false;

/** Change the state, and tell all who listen, once a frame. */
export function put(changes) {
  Object.assign(state, changes);
  if (queued) return;
  queued = true;
  queueMicrotask(() => {
    queued = false;
    for (const tell of [...listeners]) tell();
  });
}

/** Use parts of the state in a component: it is drawn anew when one of them changes. */
export function use(...names) {
  const [, again] = useReducer((n) => n + 1, 0);
  const drawn = useRef();
  drawn.current = names.map((name) => state[name]); // an effect runs later: it may have changed by then
  useEffect(() => {
    const look = () => names.some((name, i) => state[name] !== drawn.current[i]) && again();
    listeners.add(look);
    look();
    return () => listeners.delete(look);
  }, names);
  return state;
}

/** Go to a view, and perhaps to an object and its method. */
export function go(view, chosen = state.chosen, selector = "") {
  const path = [view, chosen, selector].filter(Boolean).map(encodeURIComponent).join("/");
  if (location.hash !== `#/${path}`) history.pushState(null, "", `#/${path}`);
  put({ view, chosen, selector });
}

/** Show an object in the inspector, beside whatever view is open. */
export const choose = (name, selector = "") => go(state.view, name, selector);

/** Read where the address points to. */
export function readAddress() {
  if (!location.hash.startsWith("#/")) return;
  const [view = "talk", chosen = "", selector = ""] = location.hash.slice(2).split("/").map(decode);
  put({ view, chosen, selector });
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

let toastNumber = 0;

/** Say that something was done, with a way to take it back. */
export function toast(text, undo = null, tone = "") {
  const one = { id: ++toastNumber, text, undo, tone };
  put({ toasts: [...state.toasts.slice(-3), one] });
  setTimeout(() => dismiss(one.id), undo || tone === "bad" ? 12000 : 5000);
}

/** Take a toast away. */
export const dismiss = (id) => put({ toasts: state.toasts.filter((one) => one.id !== id) });

/** Change from dark to light, or back; the choice is kept. */
export function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("batos-theme", root.dataset.theme);
  put({ theme: root.dataset.theme });
}

/** Return colours of the style by name, as the theme has them: a canvas knows no variables. */
export function colours(names) {
  const probe = document.body.appendChild(document.createElement("i"));
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  };
  const found = Object.fromEntries(names.map(read));
  probe.remove();
  return found;
}
