// The image, as a graph and as a list of the same objects, in groups that fold.
import { html, useMemo, useRef, useState } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { fold, folded, Graph } from "./picture.js";
import { groupOf, GROUPS, label, tally } from "./kinds.js";
import { act, Dialog, Empty, Icon, IconButton, useWish } from "./parts.js";
import { choose, state, use } from "./store.js";
import { t } from "./words.js";

const SHOWN = 400; // rows; the search finds the rest

function fits(node, text) {
  return !text || node.name.toLowerCase().includes(text) || label(node.name).includes(text) || (node.selectors || []).some((one) => one.includes(text)) || node.methods.some(([one]) => one.includes(text));
}

function Row({ node, isChosen }) {
  const count = node.methods.length || node.selectors?.length || 0;
  const states = tally(node.methods);
  const name = [label(node.name), t("image.methods", { n: count }), ...(node.failing?.length ? [t("status.failing")] : [])].join(", ");
  return html`<div class="row" role="option" id=${`row-${node.name}`} aria-selected=${isChosen} aria-label=${name} onClick=${() => choose(node.name)}>
    <i class=${`dot ${groupOf(node)}`} aria-hidden="true"></i><span class="cut">${label(node.name)}</span>
    ${node.failing?.length > 0 && html`<b class="flag bad" title=${t("status.failing")}>!</b>`}${node.tainted?.length > 0 && html`<b class="flag warn" title=${t("status.tainted")}>~</b>`}
    <span class="pips" aria-hidden="true">${states.flatMap(([status, n]) => Array.from({ length: Math.min(n, 6) }, () => html`<i class=${status}></i>`)).slice(0, 10)}</span>
    <span class="dim small">${count || ""}</span></div>`;
}

/** All objects by group, with a search; arrows move, Enter opens. */
export function List() {
  const { nodes, chosen } = use("nodes", "chosen", "folded");
  const [text, setText] = useState("");
  const [making, setMaking] = useState(false);
  useWish("image.new", () => setMaking(true));
  const box = useRef(null);
  const groups = useMemo(() => {
    const found = Object.fromEntries(GROUPS.map((name) => [name, []]));
    for (const node of nodes) if (fits(node, text.toLowerCase())) found[groupOf(node)].push(node);
    return found;
  }, [nodes, text]);
  const open = GROUPS.filter((name) => groups[name].length).map((name) => [name, text || !folded.has(name) ? groups[name].slice(0, SHOWN) : []]);
  const flat = open.flatMap(([, rows]) => rows);
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -1e9, End: 1e9, PageDown: 10, PageUp: -10 }[event.key];
    if (!step || !flat.length) return;
    event.preventDefault();
    const at = flat.findIndex((one) => one.name === state.chosen);
    const next = flat[Math.max(0, Math.min(flat.length - 1, at + step))];
    choose(next.name);
    document.getElementById(`row-${next.name}`)?.scrollIntoView({ block: "nearest" });
  };
  return html`<section class="list" aria-label=${t("image.list")}>
    <div class="list-head"><input type="search" class="field" placeholder=${t("image.search")} aria-label=${t("image.search")} value=${text} onInput=${(e) => setText(e.target.value)} onKeyDown=${(e) => e.key === "ArrowDown" && (e.preventDefault(), box.current.focus())} />
      ${!state.at && html`<${IconButton} name="plus" label=${t("image.new")} onClick=${() => setMaking(true)} />`}</div>
    <details class="folds"><summary>${t("image.groups")}</summary><div class="chips" role="group" aria-label=${t("image.groups")}>${GROUPS.filter((name) => groups[name].length).map((name) => html`<button type="button" class="tag" aria-pressed=${!folded.has(name)} onClick=${() => fold(name)}>${t(`group.${name}`)}</button>`)}</div></details>
    <div class="scroll" role="listbox" aria-label=${t("image.objects")} tabindex="0" ref=${box} onKeyDown=${keys} aria-activedescendant=${chosen ? `row-${chosen}` : null}>
      ${open.map(([name, rows]) => html`<div role="group" aria-label=${t(`group.${name}`)}>
        <div class="group" aria-hidden=${text ? "true" : null} onClick=${() => fold(name)}><${Icon} name="down" size=${14} /><span class=${folded.has(name) && !text ? "shut" : ""}>${t(`group.${name}`)}</span><span class="dim">${groups[name].length}</span></div>
        ${rows.map((node) => html`<${Row} key=${node.name} node=${node} isChosen=${node.name === chosen} />`)}
        ${rows.length === SHOWN && html`<p class="dim small pad">${t("image.more", { n: groups[name].length - SHOWN })}</p>`}</div>`)}
      ${!flat.length && text && html`<${Empty} icon="search" title=${t("image.none")} />`}
      ${!groups.own.length && !text && nodes.length > 0 && html`<p class="dim small pad">${t("image.empty")}</p>`}
    </div>
    ${making && html`<${NewObject} close=${() => setMaking(false)} />`}</section>`;
}

function NewObject({ close }) {
  const [parent, setParent] = useState(state.chosen || "genesis_obj");
  const make = async (event) => {
    event.preventDefault();
    const name = event.target.elements.name.value.trim();
    const fields = { target: parent, body: { name } };
    const undo = (told) => verb("undo", { body: { transaction: told.transaction } });
    const told = await act(() => verb("derive", fields), t("image.made", { name }), undo);
    if (!told) return;
    close();
    choose(told.object);
  };
  return html`<${Dialog} title=${t("image.new")} close=${close}><form class="form" onSubmit=${make}>
    <label>${t("image.name")}<input class="field" name="name" required pattern="[A-Za-z_][A-Za-z0-9_]*" placeholder="garden_obj" data-first /></label>
    <label>${t("image.parent")}<select class="field" value=${parent} onChange=${(e) => setParent(e.target.value)}>${state.nodes.slice(0, 1000).map((one) => html`<option value=${one.name} selected=${one.name === parent}>${label(one.name)}</option>`)}</select></label>
    <p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button class="chip solid">${t("image.make")}</button></p></form><//>`;
}

/** The view: the list beside the graph; on a phone one of the two. */
export default function Image() {
  const [shows, setShows] = useState(localStorage.getItem("batos-shows") || "graph");
  const show = (what) => {
    localStorage.setItem("batos-shows", what);
    setShows(what);
  };
  return html`<div class=${`image shows-${shows}`}><div class="switch phone-only" role="group" aria-label=${t("view.image")}>${["graph", "list"].map((name) => html`<button type="button" aria-pressed=${shows === name} onClick=${() => show(name)}>${t(`image.as.${name}`)}</button>`)}</div>
    <${List} /><${Graph} /></div>`;
}
