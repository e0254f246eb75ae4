// The entry: come in by the code of `batos open`, then show the page, or the door.
import { html, render } from "./vendor/preact.js";
import { App } from "./app.js";
import { ask } from "./ask.js";
import { begin } from "./live.js";
import { askTabs, keep } from "./proof.js";
import { readAddress, state } from "./store.js";
import { loadWords, t } from "./words.js";

const root = document.getElementById("app");

const Door = () => html`<main class="door">
  <img src="/page/icon.svg" width="72" height="72" alt="" />
  <h1>BAT OS</h1>
  <p>${t("door.text")}</p>
  <pre>batos open</pre>
  <p class="dim">${t("door.once")}</p>
</main>`;

async function enter() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return askTabs();
  history.replaceState(null, "", "/");
  await ask("/login", { method: "POST", body: { code } }).then((told) => keep(told.secret), askTabs);
}

async function start() {
  const theme = localStorage.getItem("batos-theme");
  if (theme) document.documentElement.dataset.theme = theme;
  const entered = enter();
  const began = entered.then(begin); // asks while the texts come
  await Promise.all([entered, loadWords()]);
  readAddress();
  addEventListener("popstate", readAddress);
  // Nothing of the image is known yet; the page shows at once, and says so.
  render(html`<${App} />`, root);
  await began;
  if (state.closed) render(html`<${Door} />`, root);
}

start();
