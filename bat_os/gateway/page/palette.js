// The command palette: every view, object, method, action and verb, and what was said before.
import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { ask } from "./ask.js";
import { groupOf, label } from "./kinds.js";
import { act, Dialog, Empty, Icon } from "./parts.js";
import { line } from "./safe.js";
import { choose, go, put, state, switchTheme, use, VIEWS } from "./store.js";
import { saidBefore, sayHere } from "./talk.js";
import { travel } from "./timeline.js";
import { LANGUAGES, loadWords, t } from "./words.js";

const MOST = 60;
// What a button of a view opens.
const WISHES = [
  ["plus", "image.new", "image"], ["plus", "know.text", "knowledge"], ["shield", "grant.give", "world"], ["clock", "schedule.add", "world"], ["settings", "models.choose", "settings"],
  ["check", "doctor.ask", "settings"], ["check", "doctor.verify", "settings"], ["file", "backup.make", "settings"], ["image", "fork.make", "settings"], ["plus", "token.make", "settings"],
];
let table = null;

/** Return every verb of the wire that may be asked for, as the gateway documents it. */
function verbs() {
  const rows = (told) => Object.entries(told.paths).filter(([path]) => path.startsWith("/verbs/")).map(([path, { post }]) => ({ name: path.slice(7), about: post.summary, note: post.description, schema: post.requestBody.content["application/json"].schema }));
  return (table ||= ask("/openapi.json").then(rows, () => ((table = null), [])));
}

/** Return every action of the page that is no object. */
function actions() {
  const views = VIEWS.map((name) => ({ icon: name, text: t(`view.${name}`), about: t("palette.view"), run: () => go(name, state.chosen) }));
  const verbs = [
    ["talk", "palette.undo", () => say("undo that")],
    ["talk", "palette.why", () => say("why?")],
    ["talk", "palette.can", () => say("what can you do?")],
    ["sun", "theme", switchTheme],
    ["clock", "time.back", () => travel("")],
    ["search", "palette.said", () => setTimeout(() => put({ palette: "said" }))],
  ].map(([icon, key, run]) => ({ icon, text: t(key), about: t("palette.action"), run }));
  const languages = Object.entries(LANGUAGES).map(([code, name]) => ({ icon: "world", text: name, about: t("language"), run: () => loadWords(code).then(() => location.reload()) }));
  const wishes = WISHES.map(([icon, key, view]) => ({ icon, text: t(key), about: t(`view.${view}`), run: () => (state.at && travel(""), go(view, state.chosen), put({ wish: key })) }));
  return [...views, ...wishes, ...verbs, ...languages];
}

function say(text) {
  go("talk", state.chosen);
  sayHere(text);
}

function everything() {
  const objects = state.nodes.map((one) => ({ icon: "image", text: label(one.name), about: t(`group.${groupOf(one)}`), find: one.name, run: () => choose(one.name) }));
  const methods = state.nodes.flatMap((one) => one.methods.map(([name]) => ({ icon: "bolt", text: name, about: label(one.name), find: `${one.name} ${name}`, run: () => choose(one.name, name) })));
  return [...actions(), ...objects, ...methods];
}

const said = () => saidBefore().reverse().map((text) => ({ icon: "talk", text, about: "", run: () => say(text) }));

/** How well an entry fits: 0 not at all; words in order, at the beginning best. */
function rank(one, parts) {
  const text = `${one.text} ${one.find || ""} ${one.about}`.toLowerCase();
  let sum = 0;
  for (const part of parts) {
    const at = text.indexOf(part);
    if (at < 0) return 0;
    sum += at === 0 ? 4 : text[at - 1] === " " ? 2 : 1;
  }
  return sum;
}

export default function Palette() {
  const { nodes } = use("nodes");
  const isSaid = state.palette === "said";
  const [text, setText] = useState(state.early);
  const [at, setAt] = useState(0);
  const list = useRef(null);
  const [wire, setWire] = useState([]);
  const [form, setForm] = useState(null);
  useEffect(() => void verbs().then(setWire), []);
  const fill = async (one) => {
    const part = await act(() => import("./verbs.js"));
    if (part) setForm({ View: part.default, one });
  };
  const all = useMemo(() => (isSaid ? said() : [...everything(), ...wire.map((one) => ({ icon: "bolt", text: one.name, about: one.about, isVerb: true, run: () => fill(one) }))]), [isSaid, nodes, wire]);
  const found = useMemo(() => {
    const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!parts.length) return all.slice(0, MOST);
    const ranked = all.map((one) => [rank(one, parts), one]).filter(([n]) => n);
    return ranked.sort((a, b) => b[0] - a[0]).slice(0, MOST).map(([, one]) => one);
  }, [all, text]);
  useEffect(() => {
    setText(state.early); // with what was typed since the first drawing
    put({ early: "" });
  }, []);
  const close = () => put({ palette: "" });
  const run = (one) => {
    if (!one?.isVerb) close();
    if (one) one.run();
    else if (text.trim()) say(text.trim());
  };
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const next = Math.max(0, Math.min(found.length - 1, at + step));
      setAt(next);
      list.current.children[next]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(found[at]);
    }
  };
  if (form) return html`<${form.View} one=${form.one} close=${close} />`;
  return html`<${Dialog} title=${t(isSaid ? "palette.said" : "palette")} close=${close}>
    <input class="field palette-field" data-first role="combobox" aria-expanded="true" aria-controls="found" aria-activedescendant=${found.length ? `found-${at}` : null} placeholder=${t(isSaid ? "palette.said.find" : "palette.find")} aria-label=${t("palette.find")} value=${text} onInput=${(e) => { setText(e.target.value); setAt(0); }} onKeyDown=${keys} />
    <ul class="found" id="found" role="listbox" aria-label=${t("palette")} ref=${list}>${found.map((one, i) => html`<li role="option" id=${`found-${i}`} aria-selected=${i === at} onClick=${() => run(one)} onMouseMove=${() => setAt(i)}>
      <${Icon} name=${one.icon} size=${16} /><span class="cut">${line(one.text, 120)}</span><small class="dim cut">${one.about}</small></li>`)}</ul>
    ${!found.length && html`<${Empty} icon="search" title=${text.trim() && !isSaid ? t("palette.say", { text: line(text, 60) }) : t("image.none")} />`}<//>`;
}
