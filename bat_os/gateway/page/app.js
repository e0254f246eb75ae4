// The shell: views at the side, the talk in the middle, the inspector, time below.
import { html, useEffect, useErrorBoundary, useState } from "./vendor/preact.js";
import { label } from "./kinds.js";
import { Graph } from "./picture.js";
import { Icon, IconButton, Toasts, Trouble, Waiting } from "./parts.js";
import { choose, go, put, state, switchTheme, use, VIEWS } from "./store.js";
import { Talk } from "./talk.js";
import { Log } from "./log.js";
import { Banner, Due, Timeline } from "./timeline.js";
import { t } from "./words.js";

const idle = () => new Promise((done) => (window.requestIdleCallback || setTimeout)(done)); // Safari has none

/**
 * Load what is not needed at first, when it is opened. A browser never asks again for a module that
 * it could not have, nor for what that one imports; so it asks for none while the gateway is away.
 */
async function load(part, round = 0) {
  if (!(await fetch("/healthz")).ok) throw new Error(part);
  return import(`./${part}.js${round ? `?${round}` : ""}`);
}

let dressed = null;

/** Load the look of what is loaded later. */
function dress() {
  dressed ||= new Promise((done) => {
    const again = () => done((dressed = null));
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/page/later.css", onload: done, onerror: again });
    document.head.append(link);
  });
  return dressed;
}

function Later({ part, ...more }) {
  const [shown, setShown] = useState({});
  const [round, setRound] = useState(0);
  const [broken, mend] = useErrorBoundary();
  const { online } = use("online");
  useEffect(() => {
    if (online && shown.error) setRound(round + 1);
  }, [online]);
  useEffect(() => {
    let is = true;
    setShown({});
    const failed = (error) => is && setShown({ error });
    Promise.all([load(part, round), dress()]).then(([module]) => is && setShown({ View: module.default }), failed);
    return () => (is = false);
  }, [part, round]);
  const again = () => {
    mend();
    setRound(round + 1);
  };
  const error = broken || (shown.error && { status: 0 });
  if (error) return html`<div class="pad"><${Trouble} error=${error} again=${again} /></div>`;
  return shown.View ? html`<${shown.View} ...${more} />` : html`<${Waiting} />`;
}

function Status() {
  const { health, online, nodes, fork } = use("health", "online", "nodes", "fork");
  const isAwake = health?.ready;
  const text = !online ? t("status.offline") : !health ? t("status.connecting") : isAwake ? t("status.ready") : health.awakening || health.problem || t("status.starting");
  const tone = !online ? "bad" : isAwake ? "good" : "warn";
  const own = nodes.filter((one) => !one.library).reduce((n, one) => n + one.methods.filter(([, status]) => status).length, 0);
  return html`<span class=${`pill ${tone}`} role="status"><i aria-hidden="true"></i>${text}</span>
    ${fork && html`<span class="pill fork">${t("head.fork", { name: fork })}</span>`}
    ${health && nodes.length > 0 && html`<span class="fact wide-only">${t("head.objects", { n: nodes.length })}</span>
      ${own > 0 && html`<span class="fact wide-only">${t("head.learned", { n: own })}</span>`}`}`;
}

function Header() {
  return html`<header class="top">
    <a class="skip" href="#main">${t("skip")}</a>
    <img src="/page/icon.svg" width="30" height="30" alt="" /><h1>BAT OS</h1>
    <${Status} />
    <button type="button" class="find" aria-label=${t("palette.open")} onClick=${() => put({ palette: "all" })} aria-keyshortcuts="Control+K">
      <${Icon} name="search" size=${16} /><span>${t("palette.open")}</span><kbd>Ctrl K</kbd></button>
    <span class="phone-only"><${IconButton} name="clock" label=${t("time")} onClick=${() => put({ slider: !state.slider })} /></span>
    <${IconButton} name="sun" label=${t("theme")} onClick=${switchTheme} />
  </header>`;
}

function Rail() {
  const { view, running, due, asking } = use("view", "running", "due", "asking");
  const marks = { thoughts: running.size + asking.length, world: due.length };
  return html`<nav class="rail" aria-label=${t("views")}>${VIEWS.map(
    (name) => html`<button type="button" class=${view === name ? "on" : ""} aria-current=${view === name ? "page" : null} onClick=${() => go(name, state.chosen)}>
      <${Icon} name=${name} size=${20} /><span>${t(`view.${name}`)}</span>
      ${marks[name] > 0 && html`<b class="count" aria-label=${t("count.open", { n: marks[name] })}>${marks[name]}</b>`}</button>`,
  )}</nav>`;
}

function Side() {
  const { view, chosen, selector } = use("view", "chosen", "selector");
  if (chosen) return html`<aside class="side" aria-label=${t("inspect.of", { name: label(chosen) })}><${Later} part="inspector" key=${chosen} name=${chosen} selector=${selector} close=${() => choose("")} /></aside>`;
  if (view !== "talk") return null;
  return html`<aside class="side beside" aria-label=${t("live")}>
    <${Graph} small />
    <${Log} small />
  </aside>`;
}

function keys(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    put({ palette: state.palette ? "" : "all" });
  } else if (event.altKey && !event.ctrlKey && /^[1-6]$/.test(event.key)) {
    event.preventDefault();
    go(VIEWS[event.key - 1], state.chosen);
  } else if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName) && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    go("talk", state.chosen);
    setTimeout(() => document.getElementById("sentence")?.focus(), 30);
  } else if (event.key === "Escape" && !event.defaultPrevented && state.chosen && !document.querySelector("dialog[open]")) {
    if (!/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName)) choose("");
  }
}

/** Keep what is typed for the palette while its module is on its way. */
function keepEarly(event) {
  if (!state.palette || event.isComposing || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.key === "Escape") put({ palette: "", early: "" });
  else if (event.key === "Backspace") put({ early: state.early.slice(0, -1) });
  else if ([...event.key].length === 1) put({ early: state.early + event.key });
}

export function App() {
  const { view, chosen, palette } = use("view", "chosen", "palette");
  useEffect(() => {
    addEventListener("keydown", keys);
    addEventListener("keydown", keepEarly, true);
    idle().then(() => load("palette")).catch(() => {});
    return () => {
      removeEventListener("keydown", keys);
      removeEventListener("keydown", keepEarly, true);
    };
  }, []);
  const known = VIEWS.includes(view) ? view : "talk";
  const main = known === "talk" ? null : html`<${Later} part=${known} />`;
  return html`<${Header} /><${Rail} />
    <div class=${`stage view-${known} ${chosen ? "inspecting" : ""}`}>
      <main id="main" tabindex="-1"><${Banner} /><${Due} />
        <div class="pane" hidden=${known !== "talk"}><${Talk} /></div>
        ${main && html`<div class="pane">${main}</div>`}</main>
      <${Side} />
    </div>
    <${Timeline} /><${Toasts} />${palette && html`<${Later} part="palette" />`}`;
}
